#!/usr/bin/env bash
# Checks everything that a release needs, and prints what is next. Changes nothing but target/.
#
#   scripts/release.sh            # all checks
#   scripts/release.sh --quick    # without lint, tests and package: the tree, the version, the changelog
set -euo pipefail
cd "$(dirname "$0")/.."
die() { printf '[release] %s\n' "$*" >&2; exit 1; }
step() { printf '[release] %s\n' "$*"; }

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
[ -n "$version" ] || die "Cargo.toml has no version under [workspace.package]"
step "version $version"

for package in gst-plugin-reid reid-core; do
    grep -q "^$package = .*version = \"$version\"" Cargo.toml ||
        die "Cargo.toml: the path dependency $package must have version = \"$version\""
    grep -A1 "^name = \"$package\"" Cargo.lock | grep -q "\"$version\"" ||
        die "Cargo.lock has another version of $package: run cargo build"
done
heading=$(grep -m1 "^## \[\?$version\]\?" CHANGELOG.md) ||
    die "CHANGELOG.md has no section \"## $version - DATE\": rename Unreleased, and begin a new one above it"
grep -Eq '[0-9]{4}-[0-9]{2}-[0-9]{2}' <<<"$heading" || die "CHANGELOG.md: \"$heading\" has no date (YYYY-MM-DD)"
notes=$(awk -v head="$heading" '$0 == head {on = 1; next} on && /^## / {exit} on' CHANGELOG.md)
grep -q '^- ' <<<"$notes" || die "CHANGELOG.md: the section of $version is empty"
if git rev-parse -q --verify "refs/tags/v$version" >/dev/null; then die "the tag v$version exists: raise the version"; fi
[ -z "$(git status --porcelain)" ] || die "the working tree is not clean: commit or remove what git status shows"

if [ "${1:-}" != --quick ]; then
    step "lint" && make lint
    step "tests" && make test && make test-kafka
    step "package" && make deb
    file=$(echo target/debian/gstreamer1.0-reid_"$version"-*.deb)
    [ -f "$file" ] || die "the package has another version: $(ls target/debian)"
fi

cat <<NEXT
[release] $version is ready. Next:
  make test-debian SUITE=trixie && make test-debian SUITE=forky   # GStreamer 1.26 and 1.28; as root
  make test-container                                             # the Containerfile's steps; as root
  git tag -s v$version -m "gst-plugin-reid $version" && git push origin v$version
  attach target/debian/*.deb and the section of CHANGELOG.md to the release
NEXT
