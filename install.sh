#!/bin/sh
# Installs skyctl and skyd from a release, with shell completions and man pages. It verifies the checksum of what it
# downloads before it changes anything. `install.sh --help` lists the options.
#
#   curl -fsSL https://github.com/sky-shift/skyctl/releases/latest/download/install.sh | sh
set -eu

releases=https://github.com/sky-shift/skyctl/releases

usage() {
    cat <<'TXT'
Usage: install.sh [--from URL|DIR] [--version VERSION] [--prefix DIR] [--cosign-key FILE]
       [--for-package]

Installs skyctl and skyd with shell completions and man pages. Run it again to install another version.

  --from URL|DIR      a release: the address of its files, or a directory (default: $SKYCTL_DIST, or the
                      project's releases)
  --version VERSION   another release than the newest one, such as v1.2.3
  --prefix DIR        where bin/ and share/ are (default: ~/.local, or /usr/local for root)
  --cosign-key FILE   public key of the releases: verifies the signature of checksums.txt with cosign
  --for-package       --prefix is where a package is made: keeps no list of the files, and says nothing of
                      this computer

It needs tar, gzip, a program for SHA-256 and, for a URL, curl or wget. `skyctl uninstall` says how to
remove everything.
TXT
}

fail() {
    printf 'install.sh: %s\n' "$1" >&2
    exit "${2:-1}"
}

has() { command -v "$1" >/dev/null 2>&1; }

read_options() {
    from=${SKYCTL_DIST:-} version='' prefix='' cosign_key='' for_package=''
    while [ $# -gt 0 ]; do
        case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        --for-package)
            for_package=yes
            shift
            continue
            ;;
        --*=*)
            option=${1%%=*} value=${1#*=}
            shift
            ;;
        --from | --version | --prefix | --cosign-key)
            [ $# -gt 1 ] || fail "$1 needs a value" 2
            option=$1 value=$2
            shift 2
            ;;
        *) fail "unknown argument $1; install.sh --help lists the options" 2 ;;
        esac
        [ -n "$value" ] || fail "$option needs a value" 2
        case $option in
        --from) from=$value ;;
        --version) version=$value ;;
        --prefix) prefix=$value ;;
        --cosign-key) cosign_key=$value ;;
        *) fail "unknown option $option; install.sh --help lists the options" 2 ;;
        esac
    done
    version=${version#v}
    case $version in *[!A-Za-z0-9.+~-]*) fail "$version is not a version: use one such as v1.2.3" 2 ;; esac
    if [ -z "$prefix" ]; then
        if [ "$(id -u)" -eq 0 ]; then
            prefix=/usr/local
        else
            prefix=${HOME:?is not set: use --prefix}/.local
        fi
    fi
    case $prefix in /*) ;; *) prefix=$PWD/$prefix ;; esac
    prefix=${prefix%/}
}

# find_source completes the address of the release. A directory is used as it is.
find_source() {
    if [ -z "$from" ]; then
        from=$releases/latest/download
        [ -z "$version" ] || from=$releases/download/v$version
    fi
    from=${from%/}
    case $from in
    file://*) from=${from#file://} ;;
    https://* | http://*)
        has curl || has wget ||
            fail "neither curl nor wget is installed: install one, or download the release and use --from DIR"
        return
        ;;
    *://*) fail "$from: only http, https and file addresses, and directories, are supported" 2 ;;
    esac
    [ -d "$from" ] || fail "$from is neither a directory nor an http or https address" 2
}

find_platform() {
    case $(uname -s) in
    Linux) os=linux ;;
    Darwin) os=darwin ;;
    *) fail "there is no release for $(uname -s): skyctl runs on Linux and macOS" ;;
    esac
    case $(uname -m) in
    x86_64 | amd64) arch=amd64 ;;
    aarch64 | arm64) arch=arm64 ;;
    *) fail "there is no release for $(uname -m): skyctl runs on amd64 and arm64" ;;
    esac
    platform=${os}_$arch
}

# check_prefix fails before anything is downloaded if the files cannot be written.
check_prefix() {
    bin=$prefix/bin
    for d in "$bin" "$prefix/share"; do
        there=$d
        while [ ! -e "$there" ]; do there=$(dirname "$there"); done
        if [ ! -d "$there" ] || [ ! -w "$there" ]; then
            fail "$(id -un) cannot write to $there: run this as root, or use --prefix with a directory of your own"
        fi
    done
    for program in skyctl skyd; do
        [ ! -d "$bin/$program" ] || fail "$bin/$program is a directory: remove it, or use another --prefix"
    done
}

# check_tools fails before anything is downloaded if a program is missing.
check_tools() {
    for tool in tar gzip; do
        has $tool || fail "$tool is not installed: install it"
    done
    if has sha256sum; then
        sha256=sha256sum
    elif has shasum; then
        sha256='shasum -a 256'
    elif has openssl; then
        sha256='openssl dgst -sha256 -r'
    else
        fail "no program computes SHA-256: install sha256sum, shasum or openssl"
    fi
    [ -z "$cosign_key" ] || [ -r "$cosign_key" ] || fail "the key $cosign_key cannot be read"
    [ -z "$cosign_key" ] || has cosign ||
        fail "signatures are verified with cosign, which is not installed: install it, or leave out --cosign-key"
}

# fetch gets a file of the release.
fetch() {
    case $from in
    https://* | http://*)
        if has curl; then
            quiet=-sS
            if [ -t 2 ] && [ "$1" != checksums.txt ]; then quiet=-#; fi
            # A redirect does not leave https.
            curl -fL "$quiet" --proto-redir "=${from%%:*},https" --connect-timeout 30 -o "$2" "$from/$1"
        else
            # wget follows any redirect, and says in which it was.
            wget -q -S -T 60 -O "$2" "$from/$1" 2>"$tmp/responses" && check_redirects "$1"
        fi
        ;;
    *) cp "$from/$1" "$2" ;;
    esac || fail "cannot get $from/$1. Nothing was changed"
}

# check_redirects fails if wget has left https for a file. It has printed the headers of each response.
check_redirects() {
    case $from in http://*) return 0 ;; esac
    grep -q 'HTTP/' "$tmp/responses" || fail "this wget does not say where redirects lead: install curl, or download
the release and use --from DIR. Nothing was changed"
    left=$(grep -i '^ *location: *[a-z][a-z0-9+.-]*:' "$tmp/responses" | grep -iv '^ *location: *https:') || return 0
    fail "$from/$1 redirects to an address without https, whose content could be changed on the way:
$left
Nothing was changed"
}

# choose_archive finds the archive of this platform in checksums.txt, and its checksum.
choose_archive() {
    archive='' sum='' others=''
    while read -r digest name; do
        name=${name#\*}
        case $name in
        *[!A-Za-z0-9._+~-]*) continue ;; # not a plain file name
        skyctl_"${version:-}"_"$platform".tar.gz) ;;
        skyctl_*_"$platform".tar.gz)
            if [ -n "$version" ]; then
                others="$others ${name%_"$platform".tar.gz}"
                continue
            fi
            ;;
        *) continue ;;
        esac
        case $digest in *[!0-9a-f]*) continue ;; esac
        [ ${#digest} -eq 64 ] || continue
        [ -z "$archive" ] || [ "$archive" = "$name" ] ||
            fail "$from has several versions, such as $archive and $name: choose one with --version"
        archive=$name sum=$digest
    done <"$tmp/checksums.txt"
    [ -n "$archive" ] ||
        fail "checksums.txt of $from names no skyctl_${version:-VERSION}_$platform.tar.gz${others:+; it has$others}"
}

verify_signature() {
    [ -n "$cosign_key" ] || return 0
    fetch checksums.txt.sig "$tmp/checksums.txt.sig"
    # The key is the proof; a public log of signatures is not asked.
    cosign verify-blob --key "$cosign_key" --insecure-ignore-tlog=true --signature "$tmp/checksums.txt.sig" \
        "$tmp/checksums.txt" >"$tmp/cosign.out" 2>&1 || {
        cat "$tmp/cosign.out" >&2
        fail "checksums.txt of $from is not signed with $cosign_key. Nothing was changed"
    }
    echo "Verified the signature of checksums.txt with $cosign_key."
}

download() {
    fetch checksums.txt "$tmp/checksums.txt"
    verify_signature
    choose_archive
    echo "Downloading $archive from $from"
    fetch "$archive" "$tmp/archive.tar.gz"
    got=$($sha256 "$tmp/archive.tar.gz" | cut -d ' ' -f 1)
    [ "$got" = "$sum" ] || fail "$archive is incomplete or was changed: its SHA-256 is ${got:-unknown}, and
checksums.txt says $sum. Nothing was changed"
    echo "Verified its SHA-256 $sum."
    mkdir "$tmp/unpacked"
    tar -xzf "$tmp/archive.tar.gz" -C "$tmp/unpacked" || fail "$archive cannot be unpacked. Nothing was changed"
    unpacked=$tmp/unpacked
    if [ ! -f "$unpacked/skyctl" ]; then
        for d in "$unpacked"/*; do [ ! -f "$d/skyctl" ] || unpacked=$d; done
    fi
    [ -f "$unpacked/skyctl" ] || fail "$archive has no skyctl. Nothing was changed"
}

# The suffix of new files until all are there; each is then renamed over the file before it.
new=.skyctl-new

# stage copies a file beside its place: stage SOURCE PLACE MODE, with PLACE below the prefix.
stage() {
    printf '%s\n' "$2" >>"$tmp/files"
    if ! { mkdir -p "$(dirname "$prefix/$2")" && cp "$1" "$prefix/$2$new" && chmod "$3" "$prefix/$2$new"; }; then
        fail "cannot write $prefix/$2. Nothing was changed"
    fi
}

stage_files() {
    : >"$tmp/files"
    [ ! -f "$unpacked/skyd" ] || stage "$unpacked/skyd" bin/skyd 755
    completions=$unpacked/completions
    [ ! -f "$completions/skyctl.bash" ] || stage "$completions/skyctl.bash" share/bash-completion/completions/skyctl 644
    [ ! -f "$completions/skyctl.zsh" ] || stage "$completions/skyctl.zsh" share/zsh/site-functions/_skyctl 644
    [ ! -f "$completions/skyctl.fish" ] ||
        stage "$completions/skyctl.fish" share/fish/vendor_completions.d/skyctl.fish 644
    for page in "$unpacked"/man/*.1 "$unpacked"/man/*.1.gz "$unpacked"/man/man1/*.1 "$unpacked"/man/man1/*.1.gz; do
        [ ! -f "$page" ] || stage "$page" "share/man/man1/${page##*/}" 644
    done
    for text in LICENSE NOTICES.md; do
        [ ! -f "$unpacked/$text" ] || stage "$unpacked/$text" "share/doc/skyctl/$text" 644
    done
    stage "$unpacked/skyctl" bin/skyctl 755 # last: an interrupted replacement can be repeated by the skyctl before
    installed=$(read_version "$bin/skyctl$new") || fail "the skyctl of $archive does not run here. Nothing was changed"
}

# read_version prints the version of a skyctl.
read_version() { "$1" version --client 2>"$tmp/version.err" | sed -n '1s/^skyctl \([^ ]*\).*/\1/p' | grep .; }

# replace puts the staged files into their places, and removes those of the version before that are no more.
replace() {
    list=$prefix/share/skyctl/installed-files
    changed=
    while read -r file; do
        cmp -s "$prefix/$file$new" "$prefix/$file" || changed=yes
        mv -f "$prefix/$file$new" "$prefix/$file"
    done <"$tmp/files"
    [ -z "$for_package" ] || return 0
    echo share/skyctl/installed-files >>"$tmp/files"
    if [ -f "$list" ]; then
        while read -r file; do
            grep -qxF -- "$file" "$tmp/files" && continue
            case $file in
            bin/skyd | share/man/man1/sky*) rm -f "$prefix/$file" ;;
            esac
        done <"$list"
    fi
    mkdir -p "$prefix/share/skyctl"
    cp "$tmp/files" "$list$new"
    mv -f "$list$new" "$list"
}

report() {
    if [ -z "$before" ]; then
        echo "Installed skyctl $installed in $bin."
    elif [ -z "$changed" ]; then
        echo "skyctl $installed is in $bin already: nothing was changed."
    else
        echo "Replaced skyctl $before by $installed in $bin."
    fi
    [ -z "$for_package" ] || return 0
    # It says so where a skyd of another version runs.
    "$bin/skyctl" version 2>&1 >/dev/null | grep '^Note: ' || {
        if [ "$(id -u)" -eq 0 ] && [ -n "$before" ] && [ -n "$changed" ]; then
            echo "Where skyd runs, it is still the version before: each user runs skyctl server restart"
        fi
    }
    case :$PATH: in
    *:"$bin":*)
        first=$(command -v skyctl)
        if [ "$first" != "$bin/skyctl" ]; then
            echo "Note: $first comes first in your PATH, and is another skyctl: remove it, or change the order."
        fi
        ;;
    *)
        echo "Add it to your PATH, also in the file that your shell reads, such as ~/.profile:"
        echo "  export PATH=\"$bin:\$PATH\""
        ;;
    esac
    if [ -f "$unpacked/skyd" ]; then
        echo "Next: skyctl check, then skyctl create cluster NAME --provision --cloud docker --wait"
    else
        echo "skyd does not run on $os: skyctl uses the servers of a team here (docs/team.md)."
    fi
}

# clean removes what an interrupted or failed run has left.
clean() {
    if [ -f "$tmp/files" ]; then
        while read -r file; do rm -f "$prefix/$file$new"; done <"$tmp/files"
    fi
    rm -rf "$tmp"
}

main() {
    umask 022
    read_options "$@"
    find_source
    find_platform
    check_tools
    check_prefix
    tmp=$(mktemp -d) || fail "cannot create a temporary directory"
    trap clean EXIT
    trap 'exit 130' HUP INT TERM
    before=
    if [ -x "$bin/skyctl" ]; then before=$(read_version "$bin/skyctl" || echo "(unknown version)"); fi
    download
    stage_files
    replace
    report
}

# The last line: a script that was cut off does nothing.
main "$@"
