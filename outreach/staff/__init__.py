"""The staff of the office: who may sign in, what each may do, and what each did."""
