<?php

/** The relay's control API: one request per call. Throws RuntimeException, whose text is for the page. */
class Modules_Mailweir_ControlApi
{
    private $_url;
    private $_token;

    public function __construct($url, $token)
    {
        // the token would cross a network in clear text
        if (!preg_match('~^(https://|http://(127\.0\.0\.1|\[::1\]|localhost)(:|/|$))~', $url)) {
            throw new RuntimeException('Address of the control API: use https://, or http:// on this machine itself.');
        }
        $this->_url = rtrim($url, '/');
        $this->_token = $token;
    }

    public function get($path, array $query = [])
    {
        $options = [
            'header' => "Authorization: Bearer {$this->_token}\r\nConnection: close",
            'timeout' => 10,
            'ignore_errors' => true, // the body of an error says what is wrong
            'follow_location' => 0, // a redirect would carry the token elsewhere
        ];
        $context = stream_context_create(['http' => $options]);
        $url = $this->_url . $path . ($query ? '?' . http_build_query($query) : '');
        $body = @file_get_contents($url, false, $context);
        if ($body === false) {
            throw new RuntimeException("The relay at {$this->_url} does not answer.");
        }
        $answer = json_decode($body, true);
        // $http_response_header is PHP's own way to hand over the status line
        if (!preg_match('~^HTTP/\S+ 200\b~', $http_response_header[0])) {
            $detail = is_array($answer) && isset($answer['detail']) ? $answer['detail'] : $http_response_header[0];
            throw new RuntimeException("The relay says: $detail");
        }
        return $answer;
    }
}
