#!/bin/sh
# What the test made is pushed to a registry, and cosign must find it good; then cosign signs.
set -eux

# `set -e` passes by what follows a `!`.
refused() {
    if "$@"; then
        echo "not refused: $*"
        exit 1
    fi
}

python3 registry.py &
registry=$!
until oras repo tags --plain-http 127.0.0.1:5000/iris >/dev/null 2>&1; do sleep 0.1; done

image=127.0.0.1:5000/iris
digest=$(cat digest)
for tag in $(cat tags); do
    oras cp --from-oci-layout layout:$tag --to-plain-http $image:$tag
done

offline="--insecure-ignore-tlog=true"
remote="$offline --private-infrastructure --allow-http-registry"
cosign verify --key ours.pub $remote $image@$digest
cosign verify-attestation --key ours.pub $remote --type slsaprovenance1 $image@$digest
oras discover --plain-http --format json $image@$digest > referrers.json
grep -q application/spdx+json referrers.json
grep -q application/vnd.dsse.envelope.v1+json referrers.json

cosign verify-blob --key ours.pub --signature payload.sig $offline payload
refused cosign verify-blob --key ours.pub --signature payload.sig $offline digest
cosign verify-blob-attestation --key ours.pub --signature blob.dsse.json $offline \
    --type slsaprovenance1 payload
refused cosign verify-blob-attestation --key ours.pub --signature blob.dsse.json $offline \
    --type slsaprovenance1 digest

# Our sealed key serves cosign.
cosign sign-blob --yes --key ours.key --tlog-upload=false --output-signature digest.sig digest
cosign verify-blob --key ours.pub --signature digest.sig $offline digest

# cosign signs; the test verifies.
cosign generate-key-pair --output-key-prefix theirs
refused cosign verify --key theirs.pub $remote $image@$digest
mkdir theirs
cosign sign --yes --key theirs.key --tlog-upload=false --allow-http-registry $image@$digest
tag=$(echo $digest | tr : -).sig
oras manifest fetch --plain-http $image:$tag > theirs/manifest.json
for layer in $(grep -o '"digest":"sha256:[0-9a-f]*"' theirs/manifest.json | cut -d '"' -f 4); do
    oras blob fetch --plain-http --output theirs/${layer#sha256:} $image@$layer
done
cosign attest-blob --yes --key theirs.key --tlog-upload=false --type slsaprovenance1 \
    --predicate predicate.json --output-signature theirs/blob.dsse.json payload
cp theirs.key theirs.pub theirs/
kill $registry
