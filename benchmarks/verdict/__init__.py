"""How far the verdict can be trusted: known-good pairs and planted defects, drawn and counted."""
