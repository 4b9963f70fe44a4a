"""All checks, one row each: issue code, how serious it is, the function that finds it, the policies that it is for."""

from broker.policy.validation import (
    actions,
    arns,
    bound,
    conditions,
    control,
    keys,
    networks,
    principals,
    redundancy,
    service_keys,
    structure,
    trust,
    variables,
    wildcards,
)
from broker.policy.validation.broad import allows_everything, broad, trusts_everybody
from broker.policy.validation.findings import Find, FindingType, PolicyCheck
from broker.policy.validation.presence import asks_for_presence
from broker.policy.validation.sizes import longer_than
from broker.policy.validation.subject import ValidatedAs
from broker.policy.validation.tags import tag_conditions

_ERROR, _SECURITY = FindingType.ERROR, FindingType.SECURITY_WARNING
_WARNING, _SUGGESTION = FindingType.WARNING, FindingType.SUGGESTION
_IDENTITY, _TRUST = frozenset({ValidatedAs.IDENTITY}), frozenset({ValidatedAs.TRUST})
_SCP, _RCP = frozenset({ValidatedAs.SCP}), frozenset({ValidatedAs.RCP})
_RESOURCE = frozenset({ValidatedAs.RESOURCE})
_ALL = frozenset(ValidatedAs)
_WITH_PRINCIPALS = _RESOURCE | _TRUST | _RCP
_WITHOUT_TRUST = _ALL - _TRUST


def _reaching(code: str, action: str, guard: str) -> tuple[PolicyCheck, ...]:
    """The six rows of an action that should name its resources."""
    kind = _SECURITY if code == "PASS_ROLE" else _WARNING
    ways = (
        ("NOT_RESOURCE", "exact", "not"),
        ("STAR_IN_ACTION_AND_NOT_RESOURCE", "star", "not"),
        ("NOT_ACTION_AND_NOT_RESOURCE", "not", "not"),
        ("STAR_IN_RESOURCE", "exact", "star"),
        ("STAR_IN_ACTION_AND_RESOURCE", "star", "star"),
        ("STAR_IN_RESOURCE_AND_NOT_ACTION", "not", "star"),
    )
    return tuple(
        PolicyCheck(f"{code}_WITH_{way}", kind, broad(action, guard, by_action, by_resource), _IDENTITY)
        for way, by_action, by_resource in ways
    )


def _errors(*rows: tuple[str, Find, frozenset[ValidatedAs]]) -> tuple[PolicyCheck, ...]:
    return tuple(PolicyCheck(code, _ERROR, find, kinds) for code, find, kinds in rows)


def _suggestions(*rows: tuple[str, Find]) -> tuple[PolicyCheck, ...]:
    return tuple(PolicyCheck(code, _SUGGESTION, find) for code, find in rows)


def _warnings(*rows: tuple[str, Find]) -> tuple[PolicyCheck, ...]:
    return tuple(PolicyCheck(code, _WARNING, find) for code, find in rows)


_STRUCTURE = _errors(
    ("JSON_SYNTAX_ERROR", structure.repeated_keys, _ALL),
    ("DATA_TYPE_MISMATCH", structure.wrong_types, _ALL),
    ("DUPLICATE_KEYS_WITH_DIFFERENT_CASE", structure.keys_of_different_case, _ALL),
    ("INVALID_EFFECT", structure.invalid_effect, _ALL),
    ("INVALID_POLICY_ELEMENT", structure.unknown_elements, _ALL),
    ("INVALID_VERSION", structure.invalid_version, _ALL),
    ("MISSING_ACTION", structure.missing_action, _ALL),
    ("MISSING_EFFECT", structure.missing_effect, _ALL),
    ("MISSING_PRINCIPAL", structure.missing_principal, _WITH_PRINCIPALS),
    ("MISSING_RESOURCE", structure.missing_resource, _WITHOUT_TRUST),
    ("MISSING_STATEMENT", structure.missing_statement, _ALL),
    ("UNIQUE_SIDS_REQUIRED", structure.repeated_sids, _IDENTITY | _TRUST | _SCP | _RCP),
    ("UNSUPPORTED_ELEMENT_COMBINATION", structure.opposite_elements, _ALL),
    ("UNSUPPORTED_PRINCIPAL", structure.unsupported_principal, _IDENTITY),
    ("UNSUPPORTED_SID", structure.unsupported_sids, _ALL - _RESOURCE),
)
_NAMES = _errors(
    ("INVALID_ACTION", actions.invalid_actions, _ALL),
    ("INVALID_SERVICE_IN_ACTION", actions.invalid_services, _ALL),
    ("ARN_ACCOUNT_NOT_ALLOWED", arns.accounts_not_allowed, _ALL),
    ("ARN_REGION_NOT_ALLOWED", arns.regions_not_allowed, _ALL),
    ("INVALID_ARN_ACCOUNT", arns.invalid_accounts, _ALL),
    ("INVALID_ARN_PREFIX", arns.invalid_prefixes, _ALL),
    ("INVALID_ARN_REGION", arns.invalid_regions, _ALL),
    ("INVALID_ARN_RESOURCE", arns.invalid_resources, _ALL),
    ("INVALID_ARN_SERVICE_CASE", arns.services_in_capitals, _ALL),
    ("INVALID_PARTITION", arns.invalid_partitions, _ALL),
    ("INVALID_SERVICE", arns.invalid_services, _ALL),
    ("MISSING_ARN_ACCOUNT", arns.missing_accounts, _ALL),
    ("MISSING_ARN_FIELD", arns.missing_fields, _ALL),
    ("MISSING_ARN_REGION", arns.missing_regions, _ALL),
    ("INVALID_PRINCIPAL_FORMAT", principals.invalid_formats, _WITH_PRINCIPALS),
    ("INVALID_PRINCIPAL_KEY", principals.invalid_kinds, _WITH_PRINCIPALS),
    ("INVALID_SERVICE_PRINCIPAL_FORMAT", principals.service_formats, _WITH_PRINCIPALS),
    ("FEDERATED_PRINCIPAL_NOT_SUPPORTED", principals.federated, _RESOURCE),
    ("UNSUPPORTED_ACTION_IN_POLICY", bound.actions_of_others, _RESOURCE),
    ("UNSUPPORTED_CONDITION_KEY_FOR_SERVICE_PRINCIPAL", principals.keys_without_value, _RESOURCE | _TRUST),
    ("UNSUPPORTED_RESOURCE_ARN_IN_POLICY", bound.resources_of_others, _RESOURCE),
    ("UNSUPPORTED_WILDCARD_IN_PRINCIPAL", principals.wildcards, _RESOURCE),
)
_CONDITIONS = _errors(
    ("INVALID_CONDITION_DATA_TYPE", conditions.value_types, _ALL),
    ("INVALID_CONDITION_KEY_FORMAT", conditions.key_formats, _ALL),
    ("INVALID_CONDITION_MULTIPLE_BOOLEAN", conditions.several_booleans, _ALL),
    ("INVALID_CONDITION_OPERATOR", conditions.invalid_operators, _ALL),
    ("INVALID_GLOBAL_CONDITION_KEY", conditions.unknown_global_keys, _ALL),
    ("INVALID_SERVICE_CONDITION_KEY", conditions.unknown_service_keys, _ALL),
    ("INVALID_KMS_KEY_VALUE", service_keys.kms_key_values, _ALL),
    ("INVALID_REGION", conditions.invalid_regions, _ALL),
    ("INVALID_VARIABLE_FOR_OPERATOR", variables.of_other_operators, _ALL),
    ("INVALID_VPCE_FORMAT", conditions.vpc_endpoint_formats, _ALL),
    ("INVALID_VPC_FORMAT", conditions.vpc_formats, _ALL),
    ("MISSING_QUALIFIER", conditions.missing_set_operators, _ALL),
    ("MISSING_TAG_KEY_IN_CONDITION", conditions.missing_tag_keys, _ALL),
    ("NULL_WITH_IF_EXISTS", conditions.null_if_exists, _ALL),
    ("PRIVATE_IP_ADDRESS", networks.only_private, _ALL),
    ("PRIVATE_NOT_IP_ADDRESS", networks.only_private_negated, _ALL),
    ("EMPTY_VARIABLE", variables.empty_variables, _ALL),
    ("MISSING_BRACE_IN_VARIABLE", variables.missing_braces, _ALL),
    ("MISSING_QUOTE_IN_VARIABLE", variables.missing_quotes, _ALL),
    ("TYPE_MISMATCH_IP_RANGE", conditions.unreadable_ranges, _ALL),
    ("UNSUPPORTED_ACTION_FOR_CONDITION_KEY", actions.actions_without_key, _ALL),
    ("UNSUPPORTED_GLOBAL_CONDITION_KEY", conditions.unsupported_global_keys, _ALL),
    ("UNSUPPORTED_SPACE_IN_VARIABLE", variables.spaces, _ALL),
    ("VARIABLE_UNSUPPORTED_IN_ELEMENT", variables.in_other_elements, _ALL),
    ("VARIABLE_UNSUPPORTED_IN_VERSION", variables.in_old_version, _ALL),
    ("VARIABLE_USAGE_TOO_PERMISSIVE", wildcards.open_variables, _ALL),
    ("WILDCARD_USAGE_TOO_PERMISSIVE", wildcards.open_wildcards, _ALL),
)
_TRUST_POLICIES = _errors(
    (
        "INVALID_FEDERATED_PRINCIPAL_SYNTAX_IN_ROLE_TRUST_POLICY",
        trust.federated_formats,
        _TRUST,
    ),
    ("MISMATCHED_ACTION_FOR_PRINCIPAL", trust.mismatched_actions, _TRUST),
    ("MISSING_ACTION_FOR_CONDITION_KEY", trust.missing_actions_for_keys, _TRUST),
    ("MISSING_ACTION_FOR_ROLES_ANYWHERE_TRUST_POLICY", trust.missing_roles_anywhere_actions, _TRUST),
    ("ROLE_TRUST_POLICY_SYNTAX_ERROR_NOTPRINCIPAL", trust.not_principals, _TRUST),
    ("ROLE_TRUST_POLICY_SYNTAX_ERROR_RESOURCE", trust.resources, _TRUST),
    ("ROLE_TRUST_POLICY_UNSUPPORTED_WILDCARD_IN_PRINCIPAL", principals.wildcards_in_trust, _TRUST),
    ("UNSUPPORTED_ACTION_IN_POLICY", trust.other_actions, _TRUST),
)
_ORGANIZATIONS = _errors(
    (
        "POLICY_SIZE_EXCEEDS_RCP_QUOTA",
        longer_than(5_120, "A resource control policy", counts_space=True),
        _RCP,
    ),
    (
        "POLICY_SIZE_EXCEEDS_SCP_QUOTA",
        longer_than(5_120, "A service control policy", counts_space=True),
        _SCP,
    ),
    ("RCP_SYNTAX_ERROR_ACTION", control.actions_of_resource_control, _RCP),
    ("RCP_SYNTAX_ERROR_ALLOW", control.allows_of_resource_control, _RCP),
    ("RCP_SYNTAX_ERROR_NOTACTION", control.not_actions_of_resource_control, _RCP),
    ("RCP_SYNTAX_ERROR_PRINCIPAL", control.principals_of_resource_control, _RCP),
    ("SCP_SYNTAX_ERROR_ACTION_WILDCARD", control.action_wildcards, _SCP),
    ("SCP_SYNTAX_ERROR_PRINCIPAL", structure.unsupported_principal, _SCP),
)
_SECURITY_WARNINGS = (
    PolicyCheck("ALLOW_WITH_NOT_PRINCIPAL", _SECURITY, principals.allows_with_not_principal, _RESOURCE),
    PolicyCheck("FORALLVALUES_WITH_SINGLE_VALUED_KEY", _SECURITY, conditions.for_all_of_single),
    PolicyCheck("STRING_LIKE_OPERATOR_WITH_ARN_CONDITION_KEYS", _SECURITY, conditions.like_of_arns),
    PolicyCheck("MISSING_PAIRED_CONDITION_KEYS", _SECURITY, conditions.missing_pairs),
    PolicyCheck("DYNAMODB_ATTRIBUTES_WITHOUT_SELECT", _SECURITY, service_keys.attributes_without_select),
    PolicyCheck("S3_PREFIX_IN_NEGATIVE_CONTEXT", _SECURITY, service_keys.prefixes_denied),
    PolicyCheck("UNTRUSTWORTHY_CONDITION_KEY", _SECURITY, keys.of_callers_choice),
    PolicyCheck("FORANYVALUE_WITH_AUDIENCE_CLAIM_TYPE", _SECURITY, trust.any_value_of_audience, _TRUST),
    PolicyCheck(
        "RESTRICT_ACCESS_TO_SERVICE_PRINCIPAL", _SECURITY, principals.unrestricted_services, _RESOURCE
    ),
    PolicyCheck(
        "MISSING_CONDITION_KEY_FOR_OIDC_PRINCIPAL", _SECURITY, trust.missing_provider_conditions, _TRUST
    ),
    PolicyCheck("MISSING_GITHUB_REPO_CONDITION_KEY", _SECURITY, trust.missing_github_conditions, _TRUST),
    PolicyCheck(
        "DENY_WITH_UNSUPPORTED_TAG_CONDITION_KEY_FOR_SERVICE",
        _SECURITY,
        tag_conditions(is_allow=False, is_not_action=False),
    ),
    PolicyCheck(
        "DENY_NOTACTION_WITH_UNSUPPORTED_TAG_CONDITION_KEY_FOR_SERVICE",
        _SECURITY,
        tag_conditions(is_allow=False, is_not_action=True),
    ),
    *_reaching("PASS_ROLE", "iam:PassRole", "iam:PassedToService"),
)
_GENERAL_WARNINGS = (
    *_reaching("CREATE_SLR", "iam:CreateServiceLinkedRole", "iam:AWSServiceName"),
    *_warnings(
        ("INVALID_DATE_VALUE", conditions.unusual_dates),
        ("MISSING_VERSION", structure.missing_version),
        ("TYPE_MISMATCH", conditions.mismatched_operators),
        ("TYPE_MISMATCH_BOOLEAN", conditions.unreadable_booleans),
        ("TYPE_MISMATCH_DATE", conditions.unreadable_dates),
        ("TYPE_MISMATCH_NUMBER", conditions.unreadable_numbers),
        ("TYPE_MISMATCH_STRING", conditions.unreadable_binaries),
        ("USE_CONDITION_KEY_ONLY_WITH_SUPPORTED_SERVICES", keys.of_few_services),
        ("WILDCARD_WITHOUT_LIKE_OPERATOR", conditions.wildcards_without_like),
    ),
    PolicyCheck("DEPRECATED_GLOBAL_CONDITION_KEY", _WARNING, keys.deprecated, _IDENTITY | _SCP),
    PolicyCheck(
        "RCP_MISSING_RELATED_PRINCIPAL_CONDITION_KEY", _WARNING, control.missing_exception_of_services, _RCP
    ),
    PolicyCheck(
        "RCP_MISSING_RELATED_SERVICE_PRINCIPAL_CONDITION_KEY",
        _WARNING,
        control.missing_limit_to_services,
        _RCP,
    ),
    PolicyCheck("RCP_MISSING_SERVICE_CONDITION_KEY_NULL_CHECK", _WARNING, control.missing_source, _RCP),
    PolicyCheck("INVALID_ROLE_REFERENCE", _WARNING, principals.role_ids, _RESOURCE | _TRUST),
    PolicyCheck("INVALID_USER_REFERENCE", _WARNING, principals.user_ids, _RESOURCE | _TRUST),
    PolicyCheck("UNIQUE_SIDS_RECOMMENDED", _WARNING, structure.repeated_sids, _RESOURCE),
    PolicyCheck(
        "POLICY_SIZE_EXCEEDS_IDENTITY_POLICY_QUOTA",
        _WARNING,
        longer_than(6_144, "A managed policy"),
        _IDENTITY,
    ),
    PolicyCheck(
        "POLICY_SIZE_EXCEEDS_RESOURCE_POLICY_QUOTA",
        _WARNING,
        longer_than(20_480, "The longest policy of a resource", counts_space=True),
        _RESOURCE,
    ),
    PolicyCheck(
        "POLICY_SIZE_EXCEEDS_ROLE_TRUST_POLICY_QUOTA",
        _WARNING,
        longer_than(2_048, "A trust policy"),
        _TRUST,
    ),
    PolicyCheck(
        "SPECIFIC_GITHUB_REPO_AND_BRANCH_RECOMMENDED", _WARNING, trust.broad_github_conditions, _TRUST
    ),
)
_ALL_SUGGESTIONS = (
    *_suggestions(
        ("EMPTY_ARRAY_ACTION", structure.empty_actions),
        ("EMPTY_ARRAY_CONDITION", conditions.empty_values),
        ("EMPTY_ARRAY_CONDITION_FORALLVALUES", conditions.empty_values_for_all),
        ("EMPTY_ARRAY_CONDITION_FORANYVALUE", conditions.empty_values_for_any),
        ("EMPTY_ARRAY_CONDITION_IFEXISTS", conditions.empty_values_if_exists),
        ("EMPTY_ARRAY_PRINCIPAL", structure.empty_principals),
        ("EMPTY_ARRAY_RESOURCE", structure.empty_resources),
        ("EMPTY_OBJECT_CONDITION", structure.empty_condition_objects),
        ("EMPTY_OBJECT_PRINCIPAL", structure.empty_principal_objects),
        ("EMPTY_SID_VALUE", structure.empty_sids),
        ("EQUIVALENT_TO_NULL_FALSE", asks_for_presence(is_met_by_key=True, is_met_without=False)),
        ("EQUIVALENT_TO_NULL_TRUE", asks_for_presence(is_met_by_key=False, is_met_without=True)),
        ("IMPROVE_IP_RANGE", networks.bits_beyond_the_mask),
        ("NULL_WITH_QUALIFIER", conditions.null_with_set_operator),
        ("PRIVATE_IP_ADDRESS_SUBSET", networks.some_private),
        ("PRIVATE_NOT_IP_ADDRESS_SUBSET", networks.some_private_negated),
        ("REDUNDANT_ACTION", redundancy.redundant_actions),
        ("REDUNDANT_CONDITION_VALUE_NUM", redundancy.redundant_condition_values),
        (
            "REDUNDANT_KEY_DUE_TO_WILDCARD_IN_CONDITION",
            asks_for_presence(is_met_by_key=True, is_met_without=True),
        ),
        ("REDUNDANT_RESOURCE", redundancy.redundant_resources),
        ("REDUNDANT_STATEMENT", redundancy.redundant_statements),
        (
            "REDUNDANT_STATEMENT_DUE_TO_WILDCARD_IN_CONDITION",
            asks_for_presence(is_met_by_key=False, is_met_without=False),
        ),
        ("WILDCARD_IN_SERVICE_NAME", actions.wildcards_in_services),
        (
            "ALLOW_WITH_UNSUPPORTED_TAG_CONDITION_KEY_FOR_SERVICE",
            tag_conditions(is_allow=True, is_not_action=False),
        ),
        (
            "ALLOW_NOTACTION_WITH_UNSUPPORTED_TAG_CONDITION_KEY_FOR_SERVICE",
            tag_conditions(is_allow=True, is_not_action=True),
        ),
    ),
    PolicyCheck("REDUNDANT_PRINCIPAL_IN_ROLE_TRUST_POLICY", _SUGGESTION, trust.redundant_principals, _TRUST),
    PolicyCheck("IRRELEVANT_CONDITION_KEY_IN_POLICY", _SUGGESTION, keys.of_owner, _RESOURCE),
    PolicyCheck(
        "RECOMMENDED_CONDITION_KEY_FOR_SERVICE_PRINCIPAL", _SUGGESTION, keys.old_sources, _RESOURCE | _TRUST
    ),
    PolicyCheck("CONFIRM_AUDIENCE_CLAIM_TYPE", _SUGGESTION, trust.set_operators_on_audience, _TRUST),
)
# The broker's own, which AWS's validator does not have.
OWN_CHECKS = (
    PolicyCheck("ALLOWS_EVERYTHING", _WARNING, allows_everything, _IDENTITY),
    PolicyCheck("TRUSTS_EVERYBODY", _WARNING, trusts_everybody, _RESOURCE | _TRUST),
    PolicyCheck(
        "UNSUPPORTED_RESOURCE_FOR_ACTION", _WARNING, actions.resources_of_other_types, _IDENTITY | _SCP
    ),
)

CHECKS: tuple[PolicyCheck, ...] = (
    *_STRUCTURE,
    *_NAMES,
    *_CONDITIONS,
    *_TRUST_POLICIES,
    *_ORGANIZATIONS,
    *_SECURITY_WARNINGS,
    *_GENERAL_WARNINGS,
    *_ALL_SUGGESTIONS,
)
