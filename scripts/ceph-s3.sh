#!/usr/bin/env bash
# Ceph's RADOS gateway, a production S3 store, with one monitor and one object store, for tests on a machine that has it
# (apt-get install --no-install-recommends ceph-mon ceph-osd radosgw ceph-common).
# Usage: ceph-s3.sh installed
#            Succeeds if its programs are installed.
#        ceph-s3.sh run DIR PORT PORT2 PORT3
#            Starts a server on 127.0.0.1:PORT that stores everything in DIR; the monitor listens on the other two ports.
#            Prints "ready" and the gateway's process number. Ends, and removes DIR, when its standard input does.
# Its only user has the access key S3TESTKEY and the secret key S3/test+secret.
set -euo pipefail
programs=(ceph ceph-authtool ceph-mon ceph-osd monmaptool radosgw radosgw-admin)
usage() { sed -n '4,10s/^# \{0,1\}//p' "$0" >&2; exit 2; }
is_installed() { for program in "${programs[@]}"; do command -v "$program" >/dev/null || return 1; done; }

settings() { # $1: the gateway's port, $2 and $3: the monitor's
  cat <<CONF
[global]
fsid = $(cat /proc/sys/kernel/random/uuid)
mon initial members = a
mon host = [v2:127.0.0.1:$2,v1:127.0.0.1:$3]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth allow insecure global id reclaim = false
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail crit = 1
mon data avail warn = 1
mon data = $dir/mon
osd data = $dir/osd
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd crush chooseleaf type = 0
osd objectstore = bluestore
osd memory target = 939524096
bluestore block size = 4294967296
bluestore block db create = false
run dir = $dir/run
admin socket =
log file = $dir/log/\$name.\$pid.log
[client.admin]
keyring = $dir/keyring
[client.rgw]
keyring = $dir/rgw/keyring
rgw data = $dir/rgw
rgw thread pool size = 16
rgw dynamic resharding = false
CONF
}

pids=()
finish() {
  [ "${#pids[@]}" -eq 0 ] || kill -9 "${pids[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
}

gateway() { # $1: its port
  radosgw -f -n client.rgw --rgw-frontends="beast endpoint=127.0.0.1:$1 tcp_nodelay=1" >"$dir/log/rgw.$1.out" 2>&1 &
  local pid=$!
  pids+=("$pid")
  for _ in $(seq 600); do
    kill -0 "$pid" 2>/dev/null || break
    if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then echo "ready $pid"; return; fi
    sleep 0.1
  done
  tail -n 5 "$dir/log/rgw.$1.out" >&2
  echo "the gateway on port $1 does not start" >&2
  exit 1
}

cluster() { # $1: the gateway's port, $2 and $3: the monitor's
  mkdir -p "$dir"/{mon,osd,run,log,rgw}
  settings "$@" >"$dir/ceph.conf"
  {
    ceph-authtool --create-keyring "$dir/keyring" --gen-key -n mon. --cap mon 'allow *'
    ceph-authtool "$dir/keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
    local fsid; fsid=$(sed -n 's/^fsid = //p' "$dir/ceph.conf")
    monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$2,v1:127.0.0.1:$3]" "$dir/monmap"
    ceph-mon --mkfs -i a --monmap "$dir/monmap" --keyring "$dir/keyring"
  } >"$dir/log/setup.out" 2>&1
  ceph-mon -f -i a >"$dir/log/mon.out" 2>&1 & pids+=($!)
  {
    timeout 60 ceph osd create
    timeout 60 ceph auth get-or-create osd.0 mon 'allow profile osd' osd 'allow *' -o "$dir/osd/keyring"
    timeout 60 ceph auth get-or-create client.rgw mon 'allow rw' osd 'allow rwx' -o "$dir/rgw/keyring"
    ceph-osd -i 0 --mkfs --osd-uuid "$(cat /proc/sys/kernel/random/uuid)"
  } >>"$dir/log/setup.out" 2>&1
  ceph-osd -f -i 0 >"$dir/log/osd.out" 2>&1 & pids+=($!)
  timeout 60 bash -c 'until ceph osd stat 2>/dev/null | grep -q "1 up"; do sleep 0.2; done'
  timeout 60 radosgw-admin user create --uid=test --display-name=test --access-key=S3TESTKEY \
    --secret='S3/test+secret' >>"$dir/log/setup.out" 2>&1
}

case ${1:-} in
  installed) is_installed ;;
  run)
    [ $# -eq 5 ] || usage
    mkdir -p "$2"; dir=$(cd "$2" && pwd)
    export CEPH_ARGS="-c $dir/ceph.conf"
    trap 'finish; rm -rf "$dir"' EXIT
    cluster "$3" "$4" "$5" || { tail -n 5 "$dir/log/setup.out" >&2; exit 1; }
    gateway "$3"
    cat >/dev/null
    ;;
  *) usage ;;
esac
