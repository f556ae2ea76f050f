<?php
// The one entry point; Plesk's controllers do the rest.

pm_Context::init('mailweir');

$application = new pm_Application();
$application->run();
