package Mailweir::Status;

# What the relay says of one account, through its control API, and the page that shows it. Core modules only; HTTPS
# needs IO::Socket::SSL, which cPanel's own Perl has.
use strict;
use warnings;
use HTTP::Tiny ();
use JSON::PP   ();

my $LIMIT = 50;    # held messages shown

# Read `key = value` lines: url, account, token. Dies with what is wrong.
sub config {
    my ($file) = @_;
    open my $in, '<', $file or die "The file $file cannot be read ($!): run install.sh again.\n";
    my %config;
    while ( my $line = <$in> ) {
        $config{$1} = $2 if $line =~ /^\s*(url|account|token)\s*=\s*(\S+)\s*$/;
    }
    close $in;
    for my $key (qw(url account token)) {
        die "$file lacks the line: $key = ...\n" if !$config{$key};
    }
    # the token would cross a network in clear text
    die "url in $file: use https://, or http:// on this machine itself.\n"
      if $config{url} !~ m{^https://} && $config{url} !~ m{^http://(127\.0\.0\.1|\[::1\]|localhost)(:|/|$)};
    return \%config;
}

# Ask the relay. Dies with what is wrong.
sub ask {
    my ($config) = @_;
    my $account = _quoted( $config->{account} );
    return {
        account   => $config->{account},
        limits    => _get( $config, "/v1/limits?account=$account" ),
        decisions => _get( $config, "/v1/decisions?open=1&account=$account" ),
        groups    => _get( $config, "/v1/held/groups?by=sender&account=$account" ),
        held      => _get( $config, "/v1/held?limit=$LIMIT&account=$account" ),
    };
}

# The page, as text. All that comes from mail is escaped.
sub page {
    my ($found) = @_;
    my $body =
      $found->{problem}
      ? '<p class="problem">' . _text( $found->{problem} ) . '</p>'
      : _stopped($found) . _held($found) . _limits($found);
    my $account = defined $found->{account} ? ' of ' . _text( $found->{account} ) : '';
    return <<"HTML";
<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Mailweir</title><style>
body{font:14px/1.5 sans-serif;margin:1.5em;color:#222} table{border-collapse:collapse;margin-bottom:1.5em}
th,td{text-align:left;padding:.3em .8em;border-bottom:1px solid #ddd;vertical-align:top} .problem{color:#a00}
</style></head><body><h1>Outgoing mail$account</h1>$body</body></html>
HTML
}

sub _stopped {
    my ($found) = @_;
    my @rows = map { [ $_->{sender}, $_->{effect}, $_->{starts_at}, $_->{ends_at}, $_->{sentence} ] } @{ $found->{decisions} };
    return _table( 'Senders stopped or limited', [ 'sender', 'effect', 'since', 'until', 'why' ], \@rows, 'Nobody is stopped.' );
}

sub _held {
    my ($found) = @_;
    my @groups = map { [ @$_{qw(key messages recipients last_at subject)} ] } @{ $found->{groups} };
    my @held   = map { [ @$_{qw(message_id received_at sender subject)}, scalar @{ $_->{recipients} }, _score( $_->{score} ) ] }
      @{ $found->{held} };
    my $all = _table( 'Held mail by sender', [ 'sender', 'messages', 'recipients', 'latest', 'latest subject' ],
        \@groups, 'No mail is held.' );
    return $all if !@held;
    return $all
      . _table( "Held mail, the latest $LIMIT", [ 'message', 'received', 'sender', 'subject', 'recipients', 'score' ], \@held, '' );
}

sub _limits {
    my ($found) = @_;
    my @names = qw(rcpts_per_hour rcpts_per_day unique_rcpts_per_hour rcpts_per_message messages_per_hour);
    my @rows  = map { [ @$_{ 'level', 'key', @names } ] } @{ $found->{limits} };
    return _table( 'Limits of its own', [ 'level', 'of', map { s/_/ /gr } @names ], \@rows,
        q{None: the relay's usual limits are in force.} );
}

sub _table {
    my ( $title, $head, $rows, $empty ) = @_;
    my $html = '<h2>' . _text($title) . '</h2>';
    return "$html<p>" . _text($empty) . '</p>' if !@$rows;
    $html .= '<table><tr>' . join( '', map { '<th>' . _text($_) . '</th>' } @$head ) . '</tr>';
    for my $row (@$rows) {
        $html .= '<tr>' . join( '', map { '<td>' . _text( _cell($_) ) . '</td>' } @$row ) . '</tr>';
    }
    return "$html</table>";
}

sub _cell { my ($value) = @_; return defined $value ? $value : '-' }

sub _score { my ($score) = @_; return defined $score ? sprintf( '%.2f', $score ) : undef }

sub _text {
    my ($text) = @_;
    my %name = ( '&' => '&amp;', '<' => '&lt;', '>' => '&gt;', '"' => '&quot;', q{'} => '&#39;' );
    $text =~ s/([&<>"'])/$name{$1}/g;
    $text =~ s/[\x00-\x1f\x7f]/ /g;
    return $text;
}

sub _quoted {
    my ($part) = @_;
    $part =~ s/([^A-Za-z0-9._~-])/sprintf '%%%02X', ord $1/ge;
    return $part;
}

sub _get {
    my ( $config, $path ) = @_;
    my $url = $config->{url} =~ s{/+$}{}r;
    # a redirect would carry the token elsewhere
    my $http = HTTP::Tiny->new( timeout => 10, verify_SSL => 1, max_redirect => 0 );
    my $answer = $http->get( "$url$path", { headers => { Authorization => "Bearer $config->{token}" } } );
    if ( $answer->{success} ) {
        return JSON::PP->new->utf8->decode( $answer->{content} );
    }
    my $problem = eval { JSON::PP->new->utf8->decode( $answer->{content} )->{detail} };
    die "The relay says: $problem\n" if $problem;
    my $reason = $answer->{status} == 599 ? $answer->{content} : "$answer->{status} $answer->{reason}";
    $reason =~ s/\s+at \S+ line \d+\.?\s*$//;
    die "The relay at $config->{url} does not answer: $reason\n";
}

1;
