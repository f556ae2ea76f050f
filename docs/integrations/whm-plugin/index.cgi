#!/usr/local/cpanel/3rdparty/bin/perl
#WHMADDON:mailweir:Mailweir
# The status page in WHM: stopped senders, held mail and limits of this server's account. It only looks.
use strict;
use warnings;
use FindBin ();
use lib "$FindBin::RealBin/lib", '/usr/local/cpanel';

use Mailweir::Status  ();
use Whostmgr::ACLS ();

my $config_file = $ENV{MAILWEIR_PANEL_CONFIG} || '/etc/mailweir-panel.conf';    # the variable is for tests

binmode STDOUT, ':encoding(UTF-8)';
print "Content-Type: text/html; charset=utf-8\r\n"
  . "Cache-Control: no-store\r\n"
  . "X-Content-Type-Options: nosniff\r\n"
  . "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'\r\n\r\n";

Whostmgr::ACLS::init_acls();
if ( !Whostmgr::ACLS::hasroot() ) {
    print Mailweir::Status::page( { problem => 'Only root may look at this page.' } );
    exit;
}
my $found = eval { Mailweir::Status::ask( Mailweir::Status::config($config_file) ) };
print Mailweir::Status::page( $found || { problem => $@ } );
