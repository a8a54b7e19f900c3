#!/bin/bash
# libzstd 1.5.7 (as in zstandard 0.25.0 from PyPI): what it reports when the system refuses a thread to it.
#
# With `threads` of one or more, libzstd starts worker threads (ZSTD_c_nbWorkers). Where the user may start no more processes
# (RLIMIT_NPROC, or a control group with a limit of pids), the compression fails, and the error is that of a failed allocation:
# "Allocation error : not enough memory". No memory limit is set, and one thread fewer would do: it never falls back to
# compressing in the calling thread, as it does with `threads=0`.
#
#   threads   result under a limit of one process
#   0         compressed
#   1, 2      Allocation error : not enough memory
#
# Who compresses in containers: on this error try again without workers before looking for memory.
set -euo pipefail
command -v python3 >/dev/null || { echo "skipped: no python3"; exit 0; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env 2>/dev/null || { echo "skipped: no venv module"; exit 0; }
env/bin/pip install --quiet --disable-pip-version-check --no-cache-dir zstandard==0.25.0
cat > limit.py <<'PY'
import resource
import zstandard

data = b"abcdefghij" * 100000
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
print("libzstd", ".".join(map(str, zstandard.ZSTD_VERSION)), "memory", resource.getrlimit(resource.RLIMIT_AS))
for threads in (0, 1, 2):
    try:
        packed = zstandard.ZstdCompressor(level=3, threads=threads).compress(data)
        print(threads, "compressed" if zstandard.ZstdDecompressor().decompress(packed) == data else "damaged")
    except zstandard.ZstdError as error:
        print(threads, error)
PY
# The limit holds for no user with privileges, and counts all processes of the user.
run=(env/bin/python limit.py)
if [[ $(id -u) == 0 ]]; then
  chmod -R a+rX "$folder"
  run=(setpriv --reuid 54321 --regid 54321 --clear-groups "${run[@]}")
fi
"${run[@]}" | tee seen
diff seen - <<'SEEN'
libzstd 1.5.7 memory (-1, -1)
0 compressed
1 cannot compress: Allocation error : not enough memory
2 cannot compress: Allocation error : not enough memory
SEEN
echo "as described: zstandard 0.25.0"
