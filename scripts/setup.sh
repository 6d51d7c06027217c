#!/usr/bin/env bash
# Installs what building, running and testing need, and says what and why. Safe to run again: looks before it acts.
#
#   scripts/setup.sh build|demo|page|test
#
# System packages come through apt, ONNX Runtime from the PyPI wheel or the system's own library.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/ort-library.sh
purpose=${1:-build}

say() { printf '[setup] %s\n' "$*"; }
die() { printf '[setup] %s\n' "$*" >&2; exit 1; }

# package -> why, for each purpose; a later purpose includes the earlier ones.
build_packages() {
    cat <<'LIST'
gcc the linker and C runtime that Rust uses
libc6-dev C headers
pkg-config finds GStreamer for the build
libgstreamer1.0-dev GStreamer, to build against
libgstreamer-plugins-base1.0-dev GStreamer's video library, to build against
libssl-dev encrypted connections to a gallery's server (feature postgres)
LIST
}
demo_packages() {
    cat <<'LIST'
gstreamer1.0-tools gst-launch-1.0 and gst-inspect-1.0
gstreamer1.0-plugins-base decodebin, videoconvert, compositor
gstreamer1.0-plugins-good mp4mux, rtspsrc, v4l2src
gstreamer1.0-plugins-bad h264parse
gstreamer1.0-plugins-ugly x264enc, for recording
gstreamer1.0-libav decoders for H.264, H.265 and more
LIST
}
page_packages() { # what is there from elsewhere is taken as it is
    command -v chromium >/dev/null || echo "chromium the browser that walks through the page of reidctl run"
    command -v node >/dev/null || echo "nodejs drives the browser (Playwright, from 20 on)"
    command -v npm >/dev/null || echo "npm fetches Playwright and axe-core"
}
test_packages() {
    cat <<'LIST'
python3-gi the Python example
gir1.2-gstreamer-1.0 the Python example
gir1.2-gst-plugins-base-1.0 the Python example
postgresql a throw-away server for the tests of shared galleries
openssl a certificate for that server
mosquitto a throw-away broker for the tests of MQTT
mosquitto-clients reads what was sent to it
gstreamer1.0-x textoverlay, whose drawings are compared
gstreamer1.0-plugins-base-apps gst-discoverer-1.0 reads recordings
python3-jsonschema checks JSON lines by their schema
gir1.2-gst-rtsp-server-1.0 a camera to connect to in the RTSP test
LIST
}

wanted() {
    build_packages
    [ "$purpose" = build ] || demo_packages
    [ "$purpose" != page ] || page_packages
    [ "$purpose" != test ] || test_packages
}

apt_get() {
    if [ "$(id -u)" = 0 ]; then env DEBIAN_FRONTEND=noninteractive apt-get "$@"
    elif command -v sudo >/dev/null; then sudo env DEBIAN_FRONTEND=noninteractive apt-get "$@"
    else die "system packages are missing and neither root nor sudo is at hand; install them with: apt-get $*"
    fi
}

install_packages() { # lines "package why" on standard input
    command -v dpkg-query >/dev/null || { say "this is no Debian: install the equivalents of $(awk '{print $1}' | xargs) yourself"; return; }
    local package why missing=()
    while read -r package why; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' && continue
        say "installing $package: $why"
        missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    apt_get update -q >/dev/null
    apt_get install -qy --no-install-recommends "${missing[@]}" >/dev/null
}

# ONNX Runtime: yours, an earlier download, the PyPI wheel, the system's; whichever comes first.
onnxruntime() {
    local library
    if [ -n "${ORT_DYLIB_PATH:-}" ]; then say "ONNX Runtime: $ORT_DYLIB_PATH (ORT_DYLIB_PATH)"; return; fi
    library=$(fetched_onnxruntime)
    if [ -n "$library" ]; then say "ONNX Runtime: $library"; return; fi
    say "installing ONNX Runtime from its PyPI wheel into .deps/: it runs the models"
    if wheel; then return; fi
    if ldconfig -p | grep -q libonnxruntime; then say "ONNX Runtime: the system's library"; return; fi
    local package
    package=$(apt-cache search --names-only '^libonnxruntime1' 2>/dev/null | awk '{print $1}' | sort -V | tail -n 1)
    [ -n "$package" ] || die "ONNX Runtime could not be had: neither PyPI nor a system package; set ORT_DYLIB_PATH to a libonnxruntime.so"
    echo "$package ONNX Runtime, it runs the models" | install_packages
}

wheel() { # the library out of the wheel, without installing a Python package
    echo "python3-pip fetches the wheel of ONNX Runtime" | install_without_pip
    local folder=.deps/onnxruntime
    rm -rf .deps/wheel && mkdir -p .deps/wheel
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: -d .deps/wheel onnxruntime || return 1
    python3 - .deps/wheel "$folder.part" <<'PY'
import pathlib, sys, zipfile
source, target = map(pathlib.Path, sys.argv[1:])
target.mkdir(parents=True, exist_ok=True)
wheel = next(source.glob("onnxruntime-*.whl"))
with zipfile.ZipFile(wheel) as archive:
    names = [n for n in archive.namelist() if "/capi/libonnxruntime" in n or n.endswith(("LICENSE", "ThirdPartyNotices.txt"))]
    for name in names:
        (target / pathlib.Path(name).name).write_bytes(archive.read(name))
PY
    rm -rf "$folder" .deps/wheel && mv "$folder.part" "$folder"
    say "ONNX Runtime: $(fetched_onnxruntime)"
}

install_without_pip() { # only when this Python has no pip yet
    if python3 -m pip --version >/dev/null 2>&1; then cat >/dev/null; else install_packages; fi
}

# pgvector beside the newest server, where the system's packages have it (Debian 13 does, 12 does not).
pgvector() {
    local version package
    version=$(ls /usr/lib/postgresql 2>/dev/null | sort -V | tail -n 1)
    [ -n "$version" ] || return 0
    package=postgresql-$version-pgvector
    if [ -n "$(apt-cache search --names-only "^$package\$" 2>/dev/null)" ]; then
        echo "$package a gallery's vectors in a column that SQL can search" | install_packages
    else
        say "no package $package here: the test of pgvector is skipped"
    fi
}

# The bindings of GStreamer's analytics metas, where it has them (Debian 13 does, 12 does not).
analytics() {
    pkg-config --exists 'gstreamer-1.0 >= 1.24' || return 0
    echo "libgstreamer-plugins-bad1.0-dev GStreamer's library of analytics metas, to build against" | install_packages
}

command -v cargo >/dev/null || die "Rust is missing: install it with rustup, then run this again"
wanted | install_packages
analytics
[ "$purpose" != test ] || pgvector
onnxruntime
