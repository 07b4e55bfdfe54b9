"""firstlight: the host tools. Flash, derive, inject, prove; and a local Azure to rehearse with."""
