#!/usr/bin/env bash
# Everything that only a GPU can show, in at most 8 minutes: tools/check_gpu.sh [--device cuda] [--shape slice --shape
# 0.5b --shape 7b] [--out out/check_gpu.json]. On a machine without one: --device cpu --shape nano.
# Results are one JSON file; the exit code is 1 where a check failed or took too long. Each part runs in a process of its
# own, so that none takes the others along. PYTHON chooses the interpreter.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 2

device=cuda shapes=() out=out/check_gpu.json
while [ $# -gt 0 ]; do
  [ $# -gt 1 ] || { echo "option $1 needs a value" >&2; exit 2; }
  case "$1" in
    --device) device=$2 ;;
    --shape) shapes+=("$2") ;;
    --out) out=$2 ;;
    *) echo "unknown option $1: give --device, --shape, --out" >&2; exit 2 ;;
  esac
  shift 2
done
[ ${#shapes[@]} -gt 0 ] || shapes=(slice 0.5b 7b)
python=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
parts=$(mktemp -d)
trap 'rm -rf "$parts"' EXIT
# The bounds are those of a GPU: a rehearsal on a CPU, which may be slow and busy, may take four times as long.
slower=$([ "$device" = cpu ] && echo 4 || echo 1)
end=$((SECONDS + 465 * slower))

part() { # part SECONDS NAME [SHAPE]: at most so many seconds, and no more than are left of the 8 minutes
  local limit=$(($1 * slower)) name=$2 shape=${3:-} left=$((end - SECONDS)) file
  [ "$left" -lt "$limit" ] && limit=$left
  file=$parts/$(printf '%02d' "$(find "$parts" -type f | wc -l)")-$name${shape:+-$shape}
  : > "$file"
  if [ "$limit" -lt 5 ]; then
    echo '{"check": "time", "ok": false, "detail": "nothing is left of the 8 minutes"}' >> "$file"
    return
  fi
  echo "[check_gpu] $name${shape:+ $shape}, at most $limit s" >&2
  timeout --kill-after=3 "$limit" "$python" tools/check_gpu.py "$name" --device "$device" ${shape:+--shape "$shape"} \
    --out "$file"
  local code=$?
  if [ $code -ne 0 ]; then
    echo "{\"check\": \"process\", \"ok\": false, \"detail\": \"exit code $code (124: more than $limit s)\"}" >> "$file"
  fi
}

small=${shapes[0]}
part 75 identity "$small"
part 30 index
part 35 memory "$small"
part 35 capture "$small"
part 35 int8 "$small"
part 35 int4 "$small"
for shape in "${shapes[@]}"; do
  part 130 bench "$shape"
done
mkdir -p "$(dirname "$out")"
"$python" tools/check_gpu.py join --device "$device" --parts "$parts" --out "$out"
