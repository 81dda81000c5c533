"""What test_plan_fuzz.py invents and runs: it loads this folder as a package, as tests are no package themselves."""
