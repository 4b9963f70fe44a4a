"""What operators are promised, each with the test that shows it; what only a script of `scripts/` shows is named so.

A row that names a test or a script that is not there any more fails.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PROMISES = {
    # Trust
    "one exit status for each outcome, of every command": (
        "unit/commands/test_refusing.py:test_where_the_store_is_away_every_command_ends_with_3",
        "unit/commands/test_refusing.py:test_the_statuses_are_documented_once_and_in_the_help",
    ),
    "what is exposed is refused or warned of": (
        "unit/config/test_exposure.py:test_elsewhere_plain_http_is_refused_unless_it_is_allowed",
        "unit/config/test_exposure.py:test_a_master_key_that_others_can_read_or_replace_is_refused",
        "unit/config/test_exposure.py:test_operations_for_other_machines_are_warned_of_unless_they_are_meant",
    ),
    "errors are sentences with the file or address and the next step": (
        "unit/test_causes.py:test_every_error_of_the_system_has_its_words_the_file_and_a_next_step",
        "unit/test_causes.py:test_a_store_that_may_not_be_written_is_explained",
        "unit/storage/test_redis.py:test_what_the_way_to_a_redis_refuses_has_a_next_step",
        "e2e/test_tls.py:test_a_pair_that_does_not_fit_ends_the_start_with_one_sentence",
    ),
    "a backup taken under load is restored": (
        "e2e/test_backup.py:test_a_backup_under_load_is_the_store_of_one_moment_and_is_restored_to_either_engine",
        "e2e/test_backup.py:test_a_restore_refuses_a_store_in_use_and_one_that_holds_records",
    ),
    # Installing
    "the wheel carries everything, and its version is the same everywhere": (
        "test_packaging.py:test_the_installed_broker_serves_the_demo_in_a_folder_of_its_own_and_says_its_version",
        "test_packaging.py:test_the_version_is_the_same_everywhere_and_its_changes_are_written_down",
    ),
    "the quick start for systemd": (
        "test_quick_start.py:test_the_quick_start_installs_upgrades_and_uninstalls_word_by_word",
    ),
    "every command runs without the master key, by the admin socket": (
        "e2e/test_admin_socket.py:test_every_command_works_without_the_master_key",
        "e2e/test_admin_socket.py:test_each_call_is_in_the_journal_with_who_asked_and_no_secret",
        "e2e/test_admin_socket.py:test_others_are_kept_out_by_the_files_mode_and_by_the_kernels_word",
    ),
    "a mounted file replaces the settings of the image": (
        "test_deploy.py:test_a_mounted_file_replaces_the_settings_of_the_image",
        "../scripts/interop/image",
    ),
    "the compose file": (
        "test_deploy.py:test_the_compose_file_keeps_the_compose_specification",
        "../scripts/interop/compose",
    ),
    "the chart": (
        "test_chart.py:test_kubernetes_takes_every_manifest",
        "test_chart.py:test_values_that_would_not_work_are_refused_in_a_sentence",
        "test_deploy.py:test_alerts_and_the_dashboard_ask_for_metrics_that_there_are",
        "../scripts/interop/prometheus",
    ),
    "container credentials work with unmodified SDKs": (
        "e2e/test_metadata_network.py:test_what_is_printed_for_a_container_works_in_it_with_an_unmodified_sdk",
        "e2e/test_metadata_https.py:test_boto3_takes_credentials_where_its_authorities_have_ours",
        "e2e/test_metadata_https.py:test_the_sdk_for_javascript_takes_credentials_where_node_is_told_of_the_authority",
    ),
    "the list of what the tests need is complete": (
        "test_house.py:test_the_readme_names_every_package_that_the_tests_need",
        "test_capabilities.py:test_where_root_is_missing_a_marked_test_is_skipped_with_the_sentence_and_in_ci_it_fails",
        "../scripts/minimal-debian",
    ),
    # Using it
    "commands for people: whoami, env, assume-role, login": (
        "e2e/test_client_commands.py:test_whoami_names_the_caller_of_a_profile_and_where_it_was_found",
        "e2e/test_client_commands.py:test_the_lines_of_env_are_evaluated_by_a_shell",
        "e2e/test_client_commands.py:test_the_code_of_a_device_is_asked_for_in_a_terminal",
        "e2e/test_client_commands.py:test_one_command_runs_as_the_role_and_its_status_is_the_commands",
        "e2e/test_sso_login.py:test_broker_login_needs_no_cli_and_its_sign_in_is_used_by_the_cli",
    ),
    "sessions are listed and revoked": (
        "e2e/test_revocation.py:test_a_session_is_listed_within_seconds_of_its_mint",
        "e2e/test_revocation.py:test_one_session_is_refused_by_every_worker_as_soon_as_the_command_returns",
    ),
    "records are found by who, what, when and how it ended": (
        "unit/commands/test_audit.py:test_records_are_found_by_each_filter_the_newest_first",
    ),
    "config print --write can be repeated": (
        "unit/commands/test_config_file.py:test_a_second_time_changes_nothing_and_no_line_of_another_section_is_lost",
    ),
    "completion and help": (
        "unit/commands/test_completion.py:test_a_shell_offers_what_may_follow",
        "unit/commands/test_main.py:test_help_explains_a_command_and_each_of_its_actions_as_their_own_help_does",
    ),
    "apply shows a bar, changes all or nothing, and asks before it deletes": (
        "e2e/test_terminal.py:test_apply_draws_a_bar_in_a_terminal_and_none_in_a_pipe",
        "unit/commands/test_apply.py:test_a_refused_change_says_that_nothing_was_changed",
        "unit/commands/test_apply.py:test_prune_lists_and_asks_in_a_terminal",
        "unit/commands/test_apply.py:test_more_deletions_than_allowed_change_nothing",
        "e2e/test_large_declaration.py:test_ten_thousand_entities_are_applied_in_ten_seconds_of_processor_time",
    ),
    "export, and import from AWS, MinIO and SeaweedFS": (
        "unit/declaration/test_exporting.py:test_what_is_exported_changes_nothing_and_makes_the_same_again",
        "e2e/test_import.py:test_what_the_aws_cli_shows_of_an_account_is_imported_into_another_broker",
        "unit/declaration/test_import_stores.py:test_the_export_of_a_real_cluster_is_applied",
        "unit/declaration/test_import_stores.py:test_the_identities_of_a_real_seaweedfs_are_applied",
    ),
    "logs for people in a terminal, JSON in a pipe, and a banner": (
        "e2e/test_terminal.py:test_a_server_in_a_terminal_begins_with_a_banner_and_writes_lines_for_people",
        "unit/web/test_log.py:test_a_line_says_when_how_bad_where_and_what",
    ),
    "SIGHUP reads again what can change": (
        "e2e/test_serving.py:test_sighup_takes_new_quotas_and_level_and_names_what_needs_a_restart",
    ),
    "metrics, traces and OTLP": (
        "e2e/test_telemetry.py:test_the_metrics_are_those_that_are_scraped",
        "e2e/test_telemetry.py:test_a_request_is_a_server_span_below_the_span_that_the_client_named",
        "e2e/test_trace_context.py:test_a_trace_is_that_of_one_request_and_is_told_to_no_client",
    ),
    "policy check finds what AWS's validator finds": (
        "unit/commands/test_policy.py:test_findings_name_line_column_and_what_to_write",
    ),
    "examples": ("e2e/test_examples.py:test_each_example_explains_its_files_in_a_few_lines",),
}


@pytest.mark.parametrize("promise", PROMISES)
def test_what_is_promised_is_shown_by_a_test(promise: str) -> None:
    for shown in PROMISES[promise]:
        file, _, test = shown.partition(":")
        path = ROOT / "tests" / file
        assert path.is_file(), shown
        if test:
            named = {getattr(node, "name", "") for node in ast.walk(ast.parse(path.read_text("utf-8")))}
            assert test in named, shown
