"""Ten runs that are broken, other ones in each session: `SNAKEVAL_CHAOS_SEED` repeats a session's."""

import os

import pytest
from chaos.campaign import Campaign
from chaos.every_fault import BROKEN_TODAY, FAULTS, HOLDING, fault_of
from chaos.run_folder import Call
from chaos.seeds import COUNT, first_seed
from chaos.trial import Fault, Trial
from chaos.trial_processes import check_roles

# A call of this kind takes some 10 s on two cores.
KIND = "quick"


@pytest.fixture(scope="session")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """The trials of this session, and the run that nothing disturbs."""
    check_roles()
    made = Campaign(tmp_path_factory.mktemp("chaos"), timeout_s=200)
    made.baseline(KIND)
    return made


@pytest.mark.parametrize("place", range(COUNT))
def test_a_broken_run_repaired_is_as_an_undisturbed_one(campaign: Campaign, place: int) -> None:
    seed = first_seed() + place
    usable = [name for name in HOLDING if KIND in FAULTS[name].kinds and (os.geteuid() == 0 or not FAULTS[name].mount)]
    fault = fault_of(seed, usable)
    record = campaign.trial(seed, fault, KIND)
    again = f"make test-long PART=chaos SEEDS={seed} FAULTS={fault.name} KINDS={KIND}"
    assert record.violations == [], f"{record}\n{record.evidence}\nagain: {again}"


def test_a_fault_that_hits_nothing_fails_its_trial(campaign: Campaign) -> None:
    def hit_nothing(_trial: Trial, call: Call) -> bool:
        call.process.kill()
        return False

    record = campaign.trial(1, Fault("blunt", hit_nothing), KIND)
    assert [one["kind"] for one in record.violations] == ["missed"]


def test_one_round_of_seeds_has_every_fault() -> None:
    around = range(3 * len(HOLDING), 4 * len(HOLDING))
    assert sorted(fault_of(seed).name for seed in around) == sorted(HOLDING)


def test_faults_that_do_not_hold_are_known() -> None:
    assert set(BROKEN_TODAY) < set(FAULTS)
    assert all(BROKEN_TODAY.values())
