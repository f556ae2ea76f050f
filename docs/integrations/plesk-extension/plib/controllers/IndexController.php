<?php

/** Two pages for the server's administrator: the status, and the smarthost. */
class IndexController extends pm_Controller_Action
{
    protected $_accessLevel = 'admin';

    private static $_settings = ['host', 'port', 'login', 'url', 'account'];

    public function init()
    {
        parent::init();
        $this->view->pageTitle = 'Mailweir';
        $this->view->tabs = [
            ['title' => 'Status', 'action' => 'index'],
            ['title' => 'Smarthost', 'action' => 'smarthost'],
        ];
    }

    public function indexAction()
    {
        $this->view->problem = '';
        $this->view->status = '';
        try {
            $api = new Modules_Mailweir_ControlApi((string) pm_Settings::get('url'), (string) pm_Settings::get('token'));
            $this->view->status = Modules_Mailweir_Status::html($api, (string) pm_Settings::get('account'));
        } catch (RuntimeException $e) {
            $this->view->problem = $e->getMessage();
        }
    }

    public function smarthostAction()
    {
        $form = $this->_form();
        if ($this->getRequest()->isPost() && $form->isValid($this->getRequest()->getPost())) {
            try {
                $this->_apply($form);
                $this->_status->addMessage('info', 'The smarthost was changed.');
            } catch (pm_Exception $e) {
                $this->_status->addMessage('error', $e->getMessage());
            }
            $this->_helper->json(['redirect' => pm_Context::getActionUrl('index', 'smarthost')]);
        }
        $this->view->form = $form;
    }

    private function _apply(pm_Form_Simple $form)
    {
        foreach (self::$_settings as $name) {
            pm_Settings::set($name, trim((string) $form->getValue($name)));
        }
        if ((string) $form->getValue('token') !== '') {
            pm_Settings::set('token', trim((string) $form->getValue('token')));
        }
        if (!$form->getValue('on')) {
            pm_ApiCli::callSbin('smarthost', ['unset']);
            pm_Settings::set('on', '');
            return;
        }
        // the password goes by the environment: arguments are seen by everybody on the server. It is not kept here.
        $env = ['MAILWEIR_PASSWORD' => (string) $form->getValue('password')];
        $where = array_map('pm_Settings::get', ['host', 'port', 'login']);
        pm_ApiCli::callSbin('smarthost', array_merge(['set'], $where), pm_ApiCli::RESULT_EXCEPTION, $env);
        pm_Settings::set('on', '1');
    }

    private function _form()
    {
        $form = new pm_Form_Simple();
        $form->addElement('checkbox', 'on', [
            'label' => 'Send outgoing mail through the relay',
            'value' => pm_Settings::get('on', ''),
        ]);
        $this->_text($form, 'host', 'Relay', '');
        $this->_text($form, 'port', 'Port', '587');
        $this->_text($form, 'login', 'Login', '');
        $form->addElement('password', 'password', [
            'label' => 'Password',
            'description' => 'Is written for Postfix and not kept here; empty: the one of before stays.',
        ]);
        $this->_text($form, 'url', 'Control API', 'http://127.0.0.1:8025');
        $this->_text($form, 'account', 'Account', '');
        $form->addElement('password', 'token', [
            'label' => 'Token',
            'description' => 'From: mailweir user token USER. Empty: the one of before stays.',
        ]);
        $form->addControlButtons(['cancelLink' => pm_Context::getModulesListUrl()]);
        return $form;
    }

    private function _text(pm_Form_Simple $form, $name, $label, $default)
    {
        $form->addElement('text', $name, [
            'label' => $label,
            'value' => pm_Settings::get($name, $default),
            'required' => true,
        ]);
    }
}
