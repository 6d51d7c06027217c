#!/usr/bin/env bash
# Builds target/debian/gstreamer1.0-reid_*.deb: plugin, models, reidctl, manual pages, completions. cargo-deb makes it; it is
# installed when it is missing. `[package.metadata.deb]` in Cargo.toml says what goes where.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v dpkg-shlibdeps >/dev/null || { echo "[deb] dpkg-shlibdeps is missing: apt install dpkg-dev" >&2; exit 1; }
if ! cargo deb --version >/dev/null 2>&1; then
    echo "[deb] installing cargo-deb: it makes the package"
    cargo install --locked --quiet cargo-deb
fi
stage=target/deb triple=$(dpkg-architecture -qDEB_HOST_MULTIARCH)
rm -rf "$stage"
mkdir -p "$stage/lib/$triple/gstreamer-1.0"
strip --strip-unneeded -o "$stage/lib/$triple/gstreamer-1.0/libgstreid.so" target/release/libgstreid.so
target/release/reidctl manual "$stage/manual" >/dev/null
# The unit of pipelines/ is for an installation by hand.
mkdir -p "$stage/systemd"
sed -e 's|/usr/local/bin|/usr/bin|; s|/usr/local/share|/usr/share|; s|^# systemd unit.*|# systemd unit for `reidctl run`. Write /etc/reid/cameras.toml, then:|' \
    pipelines/reidctl.service > "$stage/systemd/reidctl.service"
cargo deb --no-build --quiet
ls -l target/debian/*.deb
