"""Credentials as people paste them: real shells read what is made, and nothing that could end a quoted word gets in."""

import configparser
import json
import shutil
import subprocess

import pytest

from broker.portal.shells import forms_of
from broker.protocol.shapes.sts import Credentials

CREDENTIALS = Credentials(
    access_key_id="ASIAEXAMPLE123456789",
    secret_access_key="se/cret+KEY=",
    session_token="token-_with~all.kinds/of+characters==",
    expiration=1_800_000_000.0,
)


def text_of(name: str, api_url: str = "") -> str:
    return next(
        form.text for form in forms_of(CREDENTIALS, "reader", api_url, "eu-west-1") if form.name == name
    )


@pytest.mark.parametrize(("form", "shell"), [("bash", "bash"), ("bash", "sh"), ("fish", "fish")])
def test_a_shell_has_the_very_values_after_the_lines(form: str, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    script = text_of(form, "https://sts.example.com") + "env"
    ran = subprocess.run([shell, "-c", script], capture_output=True, text=True, check=True)
    values = dict(line.split("=", 1) for line in ran.stdout.splitlines() if line.startswith("AWS_"))
    assert values["AWS_ACCESS_KEY_ID"] == CREDENTIALS.access_key_id
    assert values["AWS_SECRET_ACCESS_KEY"] == CREDENTIALS.secret_access_key
    assert values["AWS_SESSION_TOKEN"] == CREDENTIALS.session_token
    assert values["AWS_ENDPOINT_URL"] == "https://sts.example.com"
    # The AWS CLI 1 asks for a region where it has only AWS_REGION.
    assert values["AWS_REGION"] == values["AWS_DEFAULT_REGION"] == "eu-west-1"


def test_powershell_has_one_assignment_a_line() -> None:
    assert text_of("powershell").splitlines()[0] == "$Env:AWS_ACCESS_KEY_ID='ASIAEXAMPLE123456789'"


def test_the_file_is_a_section_that_sdks_read() -> None:
    file = configparser.RawConfigParser()
    file.read_string(text_of("file"))
    assert dict(file["reader"]) == {
        "aws_access_key_id": CREDENTIALS.access_key_id,
        "aws_secret_access_key": CREDENTIALS.secret_access_key,
        "aws_session_token": CREDENTIALS.session_token,
    }


def test_the_section_says_where_the_broker_is_where_the_portal_knows_it() -> None:
    file = configparser.RawConfigParser()
    file.read_string(text_of("file", "https://sts.example.com"))
    assert file["reader"]["endpoint_url"] == "https://sts.example.com"
    assert file["reader"]["region"] == "eu-west-1"


def test_json_is_what_a_credential_process_prints() -> None:
    assert json.loads(text_of("json")) == {
        "Version": 1,
        "AccessKeyId": CREDENTIALS.access_key_id,
        "SecretAccessKey": CREDENTIALS.secret_access_key,
        "SessionToken": CREDENTIALS.session_token,
        "Expiration": "2027-01-15T08:00:00Z",
    }


@pytest.mark.parametrize(
    "bad", ["https://a'b", 'https://a"', "https://a\n", "https://a b", "https://a\\", "https://é"]
)
def test_a_value_that_could_end_a_quoted_word_is_never_shown(bad: str) -> None:
    with pytest.raises(ValueError, match="single quotes"):
        forms_of(CREDENTIALS, "reader", bad, "eu-west-1")


def test_a_form_does_not_print_its_secret() -> None:
    assert "se/cret" not in repr(forms_of(CREDENTIALS, "reader", "", "eu-west-1"))
