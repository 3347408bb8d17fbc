"""The narrow waist: every door calls Archive, Archive asks the policy, then a back room."""
