"""May X do Y on Z? for other services. Empty until its issue is built: the gate that it will ask exists."""
