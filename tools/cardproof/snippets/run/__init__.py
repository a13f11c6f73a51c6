"""Run: code blocks in child processes with limits on time, memory, files and network."""
