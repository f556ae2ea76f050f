<?php
// Mail goes its old way again before the extension is gone.

pm_Context::init('mailweir');

pm_ApiCli::callSbin('smarthost', ['unset']);
pm_Settings::clean();
