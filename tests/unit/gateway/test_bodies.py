import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import Refusal
from broker.gateway import bodies
from broker.gateway.condition_keys import read_tag_header, remaining_days

# What XML 1.0 can carry.
TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"),
    min_size=1,
) | st.sampled_from(["a\rb", "a\nb", "<&>'\"", "]]>", " a "])


def refused(read, text):
    with pytest.raises(Refusal) as refusal:
        read(text.encode())
    assert refusal.value.code == "MalformedXML"


@given(st.dictionaries(TEXT, TEXT | st.just(""), max_size=bodies.MOST_TAGS))
def test_tags_are_written_as_they_were_read(tags):
    assert bodies.read_tags(bodies.write_tags(tags)) == tags


@given(st.lists(st.builds(bodies.Deletion, TEXT, TEXT | st.just("")), min_size=1, max_size=5), st.booleans())
def test_keys_to_delete_are_written_as_they_were_read(objects, is_quiet):
    text = bodies.write_deletions(tuple(objects), is_quiet=is_quiet)
    assert bodies.read_deletions(text) == bodies.Deletions(tuple(objects), is_quiet)


def test_the_namespace_may_be_left_out():
    assert bodies.read_tags(
        b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
    ) == {"a": "b"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no XML",
        "<Other/>",
        "<Tagging/>",
        "<Tagging><TagSet/><TagSet><Tag><Key>a</Key><Value/></Tag></TagSet></Tagging>",
        "<Tagging><TagSet><Tag><Key>a</Key><Key>b</Key></Tag></TagSet></Tagging>",
        "<Tagging><TagSet><Tag><Key>a</Key></Tag><Tag><Key>a</Key></Tag></TagSet></Tagging>",
        "<Tagging><TagSet><Tag><Value>a</Value></Tag></TagSet></Tagging>",
        '<Tagging xmlns="urn:other"><TagSet/></Tagging>',
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><Tagging><TagSet/></Tagging>',
        "<Tagging><!-- a --><TagSet/></Tagging>",
    ],
)
def test_tags_that_could_be_read_in_two_ways_are_refused(text):
    refused(bodies.read_tags, text)


@pytest.mark.parametrize(
    "text",
    [
        "<Delete/>",
        "<Delete><Object/></Delete>",
        "<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>",
        "<Delete><Object><Key>a</Key><Other>b</Other></Object></Delete>",
        "<Delete><Other/></Delete>",
        "<Delete>" + "<Object><Key>a</Key></Object>" * 1001 + "</Delete>",
    ],
)
def test_a_list_of_keys_that_is_none_is_refused(text):
    refused(bodies.read_deletions, text)


def test_a_lock_is_read():
    text = b"<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate></Retention>"
    assert bodies.read_retention(text) == bodies.Retention("GOVERNANCE", "2030-01-01T00:00:00Z")
    assert bodies.read_retention(bodies.write_retention(bodies.read_retention(text))).mode == "GOVERNANCE"
    assert bodies.read_legal_hold(b"<LegalHold><Status>ON</Status></LegalHold>") == "ON"
    refused(bodies.read_legal_hold, "<LegalHold><Status>MAYBE</Status></LegalHold>")


def test_a_location_is_read():
    where = (
        b"<CreateBucketConfiguration><LocationConstraint>eu</LocationConstraint></CreateBucketConfiguration>"
    )
    assert bodies.read_location(where) == "eu"
    assert bodies.read_location(b"") == ""
    refused(bodies.read_location, "<CreateBucketConfiguration><Bucket/></CreateBucketConfiguration>")


def test_tags_of_a_header_are_read():
    assert read_tag_header("a=b&c+d=%26") == {"a": "b", "c d": "&"}
    for wrong in ("a=b&a=c", "=b", "a", "&".join(f"k{number}=v" for number in range(11))):
        with pytest.raises(Refusal):
            read_tag_header(wrong)


def test_remaining_days_are_whole_ones():
    assert remaining_days("1970-01-11T00:00:00Z", 0) == 10
    assert remaining_days("1970-01-10T23:59:59Z", 0) == 9
    with pytest.raises(Refusal):
        remaining_days("tomorrow", 0)
