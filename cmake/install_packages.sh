# Sourced by quickstart.sh, test.sh and .ci/run: what they need from the system, and how to build.
# shellcheck shell=bash disable=SC2034  # the lists are used by the scripts that source this

# The compiler and the required libraries (CMakeLists.txt says what each is for), libjpeg-turbo and
# libpng for folders of images, Open MPI for several nodes, and GoogleTest and Google Benchmark,
# without which tests and benchmarks are off.
BUILD_PACKAGES=(g++ cmake ninja-build ccache git libabsl-dev libdnnl-dev
  ocl-icd-opencl-dev nlohmann-json3-dev prometheus-cpp-dev zlib1g-dev
  libjpeg-dev libpng-dev
  openmpi-bin libopenmpi-dev libgtest-dev libgmock-dev libbenchmark-dev)

# What tests call beside our own programs. A test whose tool is missing skips and says so.
TEST_PACKAGES=(curl iproute2 patchelf procps python3 python3-yaml python3-jsonschema)

# For the test that builds the container image.
IMAGE_PACKAGES=(buildah mmdebstrap)

# is_installed PACKAGE
is_installed() {
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# install_packages PACKAGE...: installs those that are missing, after saying which. On a system
# without apt, or without the right to install, says what is needed and ends the script.
install_packages() {
  local missing=() package sudo=()
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    if [ "${NO_INSTALL:-}" = 1 ]; then return 0; fi
    echo "This system has no apt. Trireme needs what these Debian packages contain:"
    printf '  %s\n' "$@"
    echo "Install it your way, then run this again with NO_INSTALL=1."
    exit 1
  fi
  for package in "$@"; do
    is_installed "$package" || missing+=("$package")
  done
  if [ ${#missing[@]} -eq 0 ] || [ "${NO_INSTALL:-}" = 1 ]; then return 0; fi

  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "These packages are missing, and installing them needs root:"
      echo "  apt-get install ${missing[*]}"
      exit 1
    fi
    sudo=(sudo)
  fi
  echo "Installing ${#missing[@]} missing packages: ${missing[*]}"
  # The lists of a fresh machine are empty or old.
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# promtool comes with Prometheus, whose package starts a server where systemd runs: on such a machine
# that is left to its owner.
install_promtool() {
  if ! command -v promtool >/dev/null && [ ! -d /run/systemd/system ]; then
    install_packages prometheus
  fi
}

# build PRESET [-DOPTION=VALUE...] [TARGET...]: configures and builds below build/PRESET; fast where
# nothing changed.
build() {
  local preset=$1 log=build/$1/configure.log options=() targets=() word
  shift
  for word in "$@"; do
    if [[ $word = -D* ]]; then options+=("$word"); else targets+=(--target "$word"); fi
  done
  # Presets, and checkouts in other places, share what ccache keeps.
  export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
  mkdir -p "build/$preset"
  if ! cmake --preset "$preset" "${options[@]}" >"$log" 2>&1; then
    cat "$log"
    exit 1
  fi
  sed -n '/^-- Trireme /,/ccache:/p' "$log"
  cmake --build --preset "$preset" "${targets[@]}"
}
