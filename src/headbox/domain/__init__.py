"""What Headbox means by a task, its states and its schedules. Pure: no input or output, and no clock."""
