"""Rolling out a version: blue and green, by the files of a deployment's folder (docs/rollout.md)."""
