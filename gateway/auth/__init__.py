"""Who calls, by which token, and what the policy lets them do."""
