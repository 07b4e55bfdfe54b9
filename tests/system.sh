#!/usr/bin/env bash
# What `make system` does: the programs that only some tests need, and the Node SDKs that judge us.
# Installs nothing that is there already. Only apt needs root; the Node SDKs do not.
set -euo pipefail
cd "$(dirname "$0")/interop/node"

# Program and Debian package. apt has one version a release, so none is named here.
missing=()
while read -r program package; do
    command -v "$program" >/dev/null || missing+=("$package")
done <<'LIST'
openssl openssl
curl curl
xxd xxd
mosquitto mosquitto
mosquitto_pub mosquitto-clients
node nodejs
npm npm
softhsm2-util softhsm2
pg_ctlcluster postgresql
fusermount3 fuse3
LIST
[ -z "$(LD_PRELOAD=libnss_wrapper.so sh -c : 2>&1)" ] || missing+=(libnss-wrapper)  # no program

if ((${#missing[@]})); then
    install="apt-get install --yes --no-install-recommends ${missing[*]}"
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "make system: ${missing[*]} are missing; as root: $install" >&2
        echo "(on another system, install what gives these programs, and run make system again)" >&2
        exit 1
    fi
    apt-get update
    DEBIAN_FRONTEND=noninteractive $install
fi

if ! node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)'; then
    echo "make system: node is $(node --version), and the SDKs need 18 or newer" >&2
    exit 1
fi

# What npm ci last installed is noted in node_modules; it need not be done again for the same.
if ! cmp --silent package-lock.json node_modules/.firstlight-lock; then
    npm ci
    cp package-lock.json node_modules/.firstlight-lock
fi
