#!/usr/bin/env bash
# Prepares an apt of its own below DIRECTORY, for one Debian suite, and prints the path of its configuration (for APT_CONFIG).
#
# usage: apt.sh DIRECTORY SUITE
#
# State, cache and an empty package status are below DIRECTORY, so neither root nor a host of that suite is needed. The host's apt
# is only read: for its mirror (DEBIAN_MIRROR overrides it) and the way to it (proxy). Its hooks and pins are left out.
set -euo pipefail

mkdir -p "$1"
directory=$(cd "$1" && pwd)
suite=$2
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

if [ ! -e "$keyring" ]; then
    echo "apt.sh: $keyring is missing: install the package debian-archive-keyring (make deps)" >&2
    exit 1
fi

# The first Debian archive among the host's own sources; security and backports archives live under other paths.
host_mirror() {
    # shellcheck disable=SC2016  # the dollar is apt's
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2> /dev/null |
        awk '/\/debian\/?$/ && !found { print; found = 1 }'
}

mirror=${DEBIAN_MIRROR:-$(host_mirror || true)}
mirror=${mirror:-http://deb.debian.org/debian}

mkdir -p "$directory"/{lists/partial,archives/partial}
: > "$directory/status"
echo "deb [arch=amd64 signed-by=$keyring] $mirror $suite main" > "$directory/sources.list"
{
    cat << C
Dir::State "$directory";
Dir::State::lists "$directory/lists";
Dir::State::status "$directory/status";
Dir::Cache "$directory";
Dir::Cache::archives "$directory/archives";
Dir::Etc::sourcelist "$directory/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Log "$directory";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Install-Recommends "false";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
C
    apt-config dump | grep -E '^Acquire::(http|https)(::[^ ]*)? "..*";$' || true
} > "$directory/apt.conf"

echo "apt.sh: reading the package lists of $suite from $mirror" >&2
APT_CONFIG=$directory/apt.conf apt-get -q -q update >&2 || {
    echo "apt.sh: cannot read the package lists of $suite from $mirror" >&2
    exit 1
}
echo "$directory/apt.conf"
