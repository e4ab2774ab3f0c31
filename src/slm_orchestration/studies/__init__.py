"""What is asked beside the main line: each study is a function from recorded outcomes to a table."""
