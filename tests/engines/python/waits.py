"""A program that TERM would end, with a step that hears it first."""

import sys

import envbox

step = f"trap 'echo heard > heard; exit 0' TERM; sleep {sys.argv[1]} & wait"
envbox.run(["sh", "-c", step], frozen=True)
print("survived")
