"""Rendered household rooms: pictures, questions with their answers, plans and episodes. Knows no model and no ROS."""
