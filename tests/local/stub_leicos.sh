#!/bin/sh
# Stands in for `leicos` where only the workflow is tested: it puts out what the workflow asks for and does nothing else.
# The first round has three workers, of which one fails for good at generate and one is interrupted once.
command=$1
shift
outputs= round= worker=
while [ $# -gt 0 ]; do
    case $1 in
    --outputs) outputs=$2 ;;
    --round) round=$2 ;;
    --worker) worker=$2 ;;
    esac
    shift 2
done
[ -z "$outputs" ] || mkdir -p "$outputs"
case $command in
start)
    # A ConfigMap in a cluster; where there is none, STUB_POST_TRAIN says it.
    cat "$LEICOS_CONFIG_DIRECTORY/post-train" >"$outputs/post-train" 2>/dev/null ||
        echo "$STUB_POST_TRAIN" >"$outputs/post-train"
    echo false >"$outputs/train-idm"
    ;;
plan-round) case $round in 0) echo '[0, 1, 2]' ;; 1) echo '[7]' ;; *) echo '[]' ;; esac >"$outputs/workers" ;;
generate)
    case $round-$worker-$LEICOS_ATTEMPT in
    0-1-*) exit 70 ;;
    0-2-0) exit 75 ;;
    esac
    until [ -z "$STUB_HOLD" ] || [ -e "$STUB_HOLD" ]; do sleep 0.2; done
    ;;
account) case $round in 0) echo 1 ;; *) echo 0 ;; esac >"$outputs/missing" ;;
fan-in) echo '[0, 1]' >"$outputs/replay-workers" && echo '[0, 1]' >"$outputs/controls-workers" ;;
report) mkdir -p "$LEICOS_REPORT_DIRECTORY" && echo '<p>a report</p>' >"$LEICOS_REPORT_DIRECTORY/index.html" ;;
esac
