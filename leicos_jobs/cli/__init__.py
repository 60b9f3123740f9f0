"""The `leicos` command. A command's module is imported when the command is called, so that the CPU image answers
without torch, mujoco, hera or kubernetes."""
