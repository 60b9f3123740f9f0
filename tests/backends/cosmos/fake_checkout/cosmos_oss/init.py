from pathlib import Path


def init_environment() -> None: ...


def init_output_dir(output_dir: Path, *, profile: bool = False) -> None:
    output_dir.mkdir(parents=True, exist_ok=True)
