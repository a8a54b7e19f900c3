#!/bin/bash
# fflate 0.8.3 (npm): what the one-shot gunzip functions give for a gzip file of two members.
#
# RFC 1952, section 2.2: a gzip file is a series of members, and its contents are those of all of them. gzip, zlib of Node.js
# and fflate's own streaming Gunzip read it so. gunzipSync, gunzip and decompressSync take the size of their answer from the
# last four bytes of the file, which belong to the *last* member, and fill it from the *first*. There is no error and no warning:
#
#   members of        the file holds    gunzipSync gives
#   1000 and 9000     10000 bytes       1000: the first member alone
#   9000 and 1000     10000 bytes       1000: a part of the first member, as long as the last
#   9000 and 0         9000 bytes       0: nothing at all
#
# The last row is a file to which an empty member was added, which changes its contents for no other reader.
# Who makes images: a layer of several members is read by the streaming interface only.
set -euo pipefail
command -v npm >/dev/null || { echo "skipped: no npm"; exit 0; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private": true}' > package.json
npm install --silent --no-audit --no-fund fflate@0.8.3
cat > members.mjs <<'JS'
import zlib from "node:zlib";
import * as fflate from "fflate";
const text = (size) => Buffer.from("abcdefghij".repeat(size / 10));
const asynchronous = (file) => new Promise((done, fail) => fflate.gunzip(file, (error, data) => (error ? fail(error) : done(data.length))));
const streamed = (file) => {
  let size = 0;
  new fflate.Gunzip((data) => { size += data.length; }).push(file, true);
  return size;
};
for (const [first, last] of [[1000, 9000], [9000, 1000], [9000, 0]]) {
  const file = Buffer.concat([zlib.gzipSync(text(first)), zlib.gzipSync(text(last))]);
  console.log(
    `${first}+${last}: zlib ${zlib.gunzipSync(file).length}, Gunzip ${streamed(file)}, gunzipSync ${fflate.gunzipSync(file).length}, ` +
    `decompressSync ${fflate.decompressSync(file).length}, gunzip ${await asynchronous(file)}`);
}
JS
node members.mjs | tee seen
diff seen - <<'SEEN'
1000+9000: zlib 10000, Gunzip 10000, gunzipSync 1000, decompressSync 1000, gunzip 1000
9000+1000: zlib 10000, Gunzip 10000, gunzipSync 1000, decompressSync 1000, gunzip 1000
9000+0: zlib 9000, Gunzip 9000, gunzipSync 0, decompressSync 0, gunzip 0
SEEN
echo "as described: fflate 0.8.3"
