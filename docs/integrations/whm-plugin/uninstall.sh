#!/bin/sh
# Take the WHM plugin out. With --purge its settings, and with them the token, go too. Mail is not touched: the Exim
# sections of cpanel.md have an undo of their own.
set -eu

root="${DESTDIR:-}"
unregister="$root/usr/local/cpanel/bin/unregister_appconfig"

[ -n "$root" ] || [ "$(id -u)" = 0 ] || { echo "uninstall.sh: run it as root" >&2; exit 1; }
[ ! -x "$unregister" ] || "$unregister" mailweir
rm -rf "$root/usr/local/cpanel/whostmgr/docroot/cgi/addons/mailweir"
rm -f "$root/usr/local/cpanel/whostmgr/docroot/addon_plugins/mailweir.png"
if [ "${1:-}" = --purge ]; then
    rm -f "$root/etc/mailweir-panel.conf"
    echo "removed, with its settings; on the relay: mailweir user rm USER"
else
    echo "removed; its settings stay in $root/etc/mailweir-panel.conf (--purge removes them)"
fi
