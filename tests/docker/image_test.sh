#!/usr/bin/env bash
# Builds docker/Dockerfile on a base image made here, and trains in the image on two ranks.
#
# usage: image_test.sh SOURCE WORK
# WORK keeps the base image and the compiler's cache for the next time.
set -euo pipefail
source=$1 work=$2

skip() {
  echo "skipped: $*"
  exit 77
}
for tool in buildah mmdebstrap; do
  command -v $tool >/dev/null || skip "$tool is not installed"
done
[ "$(id -u)" -eq 0 ] || skip "building an image here needs root"
suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)

mkdir -p "$work"
scratch=$(mktemp -d "$work/storage.XXXXXX")
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot TMPDIR=$work
store() { buildah --root "$scratch/root" --runroot "$scratch/run" "$@"; }
cleanup() {
  store rm --all >/dev/null 2>&1 || true
  rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 143' TERM INT

base=$work/base-$suite.tar
if [ ! -f "$base" ]; then
  mmdebstrap --quiet --variant=minbase --format=tar "$suite" "$base.new"
  mv "$base.new" "$base"
fi
mkdir "$scratch/base"
ln "$base" "$scratch/base/base.tar"
printf 'FROM scratch\nADD base.tar /\n' >"$scratch/base/Dockerfile"
store bud --quiet -t base "$scratch/base"
store bud --quiet --pull-never -t trireme -f "$source/docker/Dockerfile" \
  --build-arg BUILD_IMAGE=localhost/base --build-arg RUNTIME_IMAGE=localhost/base "$source"

fail() {
  echo "failed: $*"
  exit 1
}
format='{{.OCIv1.Config.User}} {{.OCIv1.Config.Entrypoint}} {{.OCIv1.Config.Labels}}'
config=$(store inspect --type image --format "$format" trireme)
for want in '1000:0 [/opt/trireme/bin/trireme] ' 'org.opencontainers.image.licenses:Apache-2.0'; do
  [[ $config = *"$want"* ]] || fail "the image's configuration lacks '$want': $config"
done

container=$(store from --pull-never trireme)
# inside USER COMMAND...
inside() {
  local user=$1
  shift
  store run --user "$user" --volume "$source/docs:/data:ro" "$container" -- "$@"
}
[ "$(inside 1000:0 id -u)" = 1000 ] || fail "the default user is not 1000"
if inside 1000:0 sh -c 'command -v g++ || command -v cmake' 2>/dev/null; then
  fail "the runtime image holds build tools"
fi
inside 1000:0 trireme --version
# The user of the image, and one that a cluster may choose.
for user in 1000:0 123456:0; do
  inside $user sh -c "cd && trireme run -n 2 --metrics-port off --log-dir logs-$user -- \
    trireme-train gpt --data /data --layers 1 --heads 2 --dim 32 --context 32 --batch 4 --steps 5 \
    --out run-$user && grep '\"steps\": 5' run-$user/summary.json" || fail "user $user could not train"
done
echo "image size: $(store images --format '{{.Size}}' localhost/trireme)"

store bud --quiet --pull-never -t trireme-mpi -f "$source/docker/Dockerfile.mpi" \
  --build-arg TRIREME_IMAGE=localhost/trireme "$source"
container=$(store from --pull-never trireme-mpi)
store copy --chmod 755 "$container" "$source/tests/docker/ssh_ranks.sh" /ssh_ranks.sh >/dev/null
inside 1000:0 /ssh_ranks.sh || fail "the MPI image does not work"
