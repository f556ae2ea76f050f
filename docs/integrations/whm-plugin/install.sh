#!/bin/sh
# Install the WHM plugin, or its newer version over an older one. As root on the cPanel server:
#   sh install.sh --url http://127.0.0.1:8025 --account web1 < token
# The token comes by standard input, from `mailweir user token`; without --url the settings of before stay.
# DESTDIR: a folder that stands for /, for packagers and tests.
set -eu

root="${DESTDIR:-}"
here="$(cd "$(dirname "$0")" && pwd)"
config="$root/etc/mailweir-panel.conf"
cgi="$root/usr/local/cpanel/whostmgr/docroot/cgi/addons/mailweir"
icons="$root/usr/local/cpanel/whostmgr/docroot/addon_plugins"
register="$root/usr/local/cpanel/bin/register_appconfig"

die() { echo "install.sh: $*" >&2; exit 1; }

url="" account=""
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || die "$1 needs a value"
    case "$1" in
        --url) url="$2" ;;
        --account) account="$2" ;;
        *) die "unknown option $1: use --url URL --account ACCOUNT, and the token on standard input" ;;
    esac
    shift 2
done

[ -n "$root" ] || [ "$(id -u)" = 0 ] || die "run it as root"
[ -x "$register" ] || die "$register is not there: this is no cPanel & WHM server"

if [ -n "$url" ]; then
    [ -n "$account" ] || die "--account is missing: the account of this server on the relay"
    case "$url" in
        https://* | http://127.0.0.1* | http://localhost* | "http://[::1]"*) ;;
        *) die "--url: use https://, or http:// on this machine itself; the token would cross a network in clear text" ;;
    esac
    read -r token || [ -n "${token:-}" ] || die "no token on standard input: mailweir user token USER"
    mkdir -p "$(dirname "$config")"
    # never readable by others, not for a moment
    (umask 077 && printf 'url = %s\naccount = %s\ntoken = %s\n' "$url" "$account" "$token" > "$config.new")
    mv "$config.new" "$config"
elif [ ! -e "$config" ]; then
    die "no settings yet: give --url and --account, and the token on standard input"
fi

install -d -m 755 "$cgi/lib/Mailweir" "$icons"
install -m 755 "$here/index.cgi" "$cgi/index.cgi"
install -m 644 "$here/lib/Mailweir/Status.pm" "$cgi/lib/Mailweir/Status.pm"
install -m 644 "$here/mailweir.png" "$icons/mailweir.png"
"$register" "$here/mailweir.conf"
echo "installed: WHM, Plugins, Mailweir"
