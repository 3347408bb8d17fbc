"""Speech: how the survey talks to what it meets, over lines that only the gate opens."""
