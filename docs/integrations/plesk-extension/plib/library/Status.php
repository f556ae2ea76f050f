<?php

/** What the relay says of one account, as HTML. All that comes from mail is escaped. */
class Modules_Mailweir_Status
{
    const SHOWN = 50; // held messages

    public static function html(Modules_Mailweir_ControlApi $api, $account)
    {
        $decisions = $api->get('/v1/decisions', ['open' => 1, 'account' => $account]);
        $groups = $api->get('/v1/held/groups', ['by' => 'sender', 'account' => $account]);
        $held = $api->get('/v1/held', ['limit' => self::SHOWN, 'account' => $account]);
        $limits = $api->get('/v1/limits', ['account' => $account]);
        return self::_table('Senders stopped or limited', $decisions, 'Nobody is stopped.', [
            'sender' => 'sender', 'effect' => 'effect', 'since' => 'starts_at', 'until' => 'ends_at', 'why' => 'sentence',
        ]) . self::_table('Held mail by sender', $groups, 'No mail is held.', [
            'sender' => 'key', 'messages' => 'messages', 'recipients' => 'recipients', 'latest' => 'last_at',
            'latest subject' => 'subject',
        ]) . ($held ? self::_table('Held mail, the latest ' . self::SHOWN, $held, '', [
            'message' => 'message_id', 'received' => 'received_at', 'sender' => 'sender', 'subject' => 'subject',
            'recipients' => 'recipients', 'score' => 'score',
        ]) : '') . self::_table('Limits of its own', $limits, "None: the relay's usual limits are in force.", [
            'level' => 'level', 'of' => 'key', 'recipients per hour' => 'rcpts_per_hour',
            'recipients per day' => 'rcpts_per_day', 'messages per hour' => 'messages_per_hour',
        ]);
    }

    public static function text($value)
    {
        return htmlspecialchars((string) $value, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
    }

    private static function _table($title, array $rows, $empty, array $columns)
    {
        $html = '<h2>' . self::text($title) . '</h2>';
        if (!$rows) {
            return $html . '<p>' . self::text($empty) . '</p>';
        }
        $html .= '<table class="list"><tr>';
        foreach (array_keys($columns) as $name) {
            $html .= '<th>' . self::text($name) . '</th>';
        }
        $html .= '</tr>';
        foreach ($rows as $row) {
            $html .= '<tr>';
            foreach ($columns as $field) {
                $html .= '<td>' . self::text(self::_cell(isset($row[$field]) ? $row[$field] : null)) . '</td>';
            }
            $html .= '</tr>';
        }
        return $html . '</table>';
    }

    private static function _cell($value)
    {
        if ($value === null) {
            return '-';
        }
        if (is_array($value)) {
            return count($value);
        }
        return is_float($value) ? sprintf('%.2f', $value) : $value;
    }
}
