"""Steps between topics: de-identification, assembly, routing, inference, findings, risk, alerts, reviews."""
