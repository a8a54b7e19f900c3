#!/bin/sh
# Makes the roots that tests/conformance.rs compares us with the real loaders on. Needs root, debootstrap, dpkg-deb and,
# for the musl roots, musl-gcc (Debian: debootstrap musl-tools). About 1.5 GB and ten minutes.
#
#     tests/conformance/roots.sh FOLDER
#     SAZARE_ROOTS=FOLDER cargo test --test conformance -- --ignored
#
# Each root is FOLDER/NAME-ARCH. Nothing of arm64 is run here: its packages are only unpacked.
set -eu
out=${1:?usage: roots.sh FOLDER}
# The mirror is the one that this machine's own apt uses.
mirror=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' | grep -m1 '/debian/*$' || true)}
[ -n "$mirror" ] || { echo 'apt knows no Debian mirror: set MIRROR=' >&2; exit 1; }
mirror=${mirror%/}
mkdir -p "$out"
out=$(cd "$out" && pwd)

for suite in bookworm trixie; do
    [ -e "$out/glibc-$suite-amd64" ] || debootstrap --variant=minbase "$suite" "$out/glibc-$suite-amd64" "$mirror"
    root=$out/glibc-$suite-arm64
    if [ ! -e "$root" ]; then
        debootstrap --foreign --arch=arm64 --variant=minbase "$suite" "$root" "$mirror"
        for package in "$root"/var/cache/apt/archives/*.deb; do
            dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$root"
        done
        # debootstrap leaves a link that leads to itself inside the root.
        [ ! -L "$root/proc" ] || { rm "$root/proc"; mkdir "$root/proc"; }
    fi
done

# musl processes that each load one library of Debian's glibc: most lack symbols, and every one is compared.
echo 'int main(void) { return 0; }' > "$out/main.c"
for suite in bookworm trixie; do
    root=$out/musl-$suite-amd64
    [ ! -e "$root" ] || continue
    mkdir -p "$root/usr/lib" "$root/programs" "$root/etc"
    ln -s usr/lib "$root/lib"
    packages=$(ls "$out/glibc-$suite-amd64"/var/lib/apt/lists/*_main_binary-amd64_Packages)
    file=$(awk '/^Package: musl$/ { found = 1 } found && /^Filename:/ { print $2; exit }' "$packages")
    curl -sfo "$out/musl-$suite.deb" "$mirror/$file"
    dpkg-deb --fsys-tarfile "$out/musl-$suite.deb" | tar -x --keep-directory-symlink -C "$root"
    mkdir -p "$root/usr/lib/x86_64-linux-gnu"
    for folder in lib usr/lib; do
        from=$out/glibc-bookworm-amd64/$folder/x86_64-linux-gnu
        [ -L "$out/glibc-bookworm-amd64/$folder" ] || cp -a "$from/." "$root/usr/lib/x86_64-linux-gnu/"
    done
    printf '/lib/x86_64-linux-gnu\n/usr/lib/x86_64-linux-gnu\n' > "$root/etc/ld-musl-x86_64.path"
    for library in "$root"/usr/lib/x86_64-linux-gnu/*.so*; do
        [ ! -L "$library" ] && [ "$(head -c 4 "$library" | tail -c 3)" = ELF ] || continue
        musl-gcc -o "$root/programs/$(basename "$library")" "$out/main.c" -Wl,--no-as-needed "$library" \
            -Wl,--unresolved-symbols=ignore-all -Wl,--allow-shlib-undefined 2> /dev/null || true
    done
done
