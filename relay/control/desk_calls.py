"""The calls that need the state only: the running relay answers them, or the command line by itself without one."""

from relay.control.audit.calls import AuditCalls
from relay.control.policies.calls import PolicyCalls
from relay.domains.calls import DomainCalls
from relay.resellers.calls import ResellerCalls
from relay.users.calls import UserCalls


class DeskCalls(DomainCalls, UserCalls, ResellerCalls, AuditCalls, PolicyCalls):
    """What `at_the_desk` hands to its action."""
