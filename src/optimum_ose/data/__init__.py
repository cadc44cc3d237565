"""Files and Hub ids -> checked splits -> token rows."""
