"""The study list: searching, sorting and paging through what somebody may see."""
