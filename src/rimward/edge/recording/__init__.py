"""Recording what comes into a node and what its functions make of it, when somebody asks for it."""
