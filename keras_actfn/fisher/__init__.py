"""fisher"""
