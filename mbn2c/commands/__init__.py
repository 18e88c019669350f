"""Words of the user -> what each command does, stage after stage; the only place where siblings meet."""
