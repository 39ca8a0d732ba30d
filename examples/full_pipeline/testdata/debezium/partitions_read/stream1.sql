insert into p values (3,'a',3); update p set r='b' where id=3; delete from p where id=2;
